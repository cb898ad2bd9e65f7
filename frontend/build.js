// Bundles the front end into the package; with --page, the page that shows it with a made-up kernel.
import { build } from "esbuild";

const shared = { bundle: true, format: "esm", target: ["es2022", "chrome110", "firefox115", "safari16"], charset: "utf8", logLevel: "warning" };

if (process.argv.includes("--page")) {
  await build({ ...shared, entryPoints: ["test/page.ts"], outdir: "test/build", sourcemap: true });
  await build({ ...shared, entryPoints: ["src/style.css"], outfile: "test/build/style.css" });
} else {
  const folder = "../histkit/notebook/static";
  const options = { ...shared, minify: true, legalComments: "eof" };
  await build({ ...options, entryPoints: ["src/index.ts"], outfile: `${folder}/explorer.js` });
  await build({ ...options, entryPoints: ["src/style.css"], outfile: `${folder}/explorer.css` });
}
