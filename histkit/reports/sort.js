// Sorts the tables of a report by their headings. Each heading has the rank of every row, in the order of the page;
// a row without a value has none and stays last. Equal rows keep their order. A third click restores the page's order.
for (const table of document.querySelectorAll("table.sortable")) {
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells].filter((head) => "ranks" in head.dataset);
  for (const head of heads) {
    const ranks = head.dataset.ranks.split(",");
    const first = head.dataset.first;
    const next = { none: first, [first]: first === "ascending" ? "descending" : "ascending" };
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = next[head.getAttribute("aria-sort") ?? "none"] ?? "none";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order !== "none") head.setAttribute("aria-sort", order);
      const sign = order === "descending" ? -1 : 1;
      const compare = (one, other) => {
        if (order === "none" || ranks[one] === ranks[other]) return one - other;
        if (ranks[one] === "" || ranks[other] === "") return ranks[one] === "" ? 1 : -1;
        return sign * (ranks[one] - ranks[other]);
      };
      const places = rows.map((_, place) => place).sort(compare);
      table.tBodies[0].append(...places.map((place) => rows[place]));
    });
  }
}
