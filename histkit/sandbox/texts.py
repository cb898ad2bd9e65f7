"""Texts of the sandbox: sentence parts in several languages, prefixes, hostile texts."""

from itertools import product

_Parts = tuple[tuple[str, ...], ...]

_ENGLISH: _Parts = (
    (
        "The lighthouse keeper",
        "My grandmother",
        "An old cartographer",
        "The night train",
        "Captain Ilse Brandt",
        "Nobody in the village",
        "The second violin",
        "A letter without a stamp",
        "The youngest of the three",
        "Every gardener I know",
        "The clock above the door",
        "Our neighbour Tobias",
        "The museum guard",
        "A fox with one white paw",
    ),
    (
        "waited until the rain had passed",
        "kept the key in a tin of buttons",
        "remembered the winter of the long ice",
        "never spoke about the island again",
        "walked along the harbour before sunrise",
        "counted the steps twice and then once more",
        "promised to be back by Thursday",
        "had a better answer, but kept it",
        "left the window open on purpose",
        "knew the road by its smell of tar",
        "laughed at the wrong moment",
        "drew a map of things that were no longer there",
    ),
    (
        ".",
        ", and that was the end of it.",
        ", though the wind said otherwise.",
        "; the rest is in the diary.",
        ", as people do when they are tired.",
        ", at least until the bells began to ring.",
        "!",
        ", and 'quiet' was not the word for it.",
    ),
)
_DESK: _Parts = (
    (
        "Thanks for calling.",
        "Of course.",
        "Good morning!",
        "I understand.",
        "Let me check that for you.",
        "One moment, please.",
    ),
    (
        "Your order is on its way",
        "The appointment has been moved to half past nine",
        "I can see two open tickets",
        "Your invoice was sent by e-mail",
        "The technician will ring the bell twice",
        "Your table for four is confirmed",
        "The parcel is waiting at the post office",
    ),
    (
        ".",
        ". Is there anything else I can do?",
        ". Would you like a text message as well?",
        ". You don't need to do anything.",
        ", if that works for you?",
    ),
)
_ADVERT: _Parts = (
    (
        "Summer is here.",
        "Three days only!",
        "New in our bakery:",
        "Stop scrolling for a second.",
        "Episode 14 is out.",
        "Breaking news from the attic:",
    ),
    (
        "Get 20% off every pair",
        "bread that remembers the field",
        "Listen wherever you get your podcasts",
        "Your first month costs €0.99",
        "We repaired the coffee machine",
        "Tickets from £12, children go free",
    ),
    (" 🎉", ".", "! 🚀🚀", " – today.", "… and yes, we deliver 🥐.", " 👩‍👩‍👧‍👦"),
)
_GERMAN: _Parts = (
    (
        "Die alte Mühle",
        "Der Kapitän",
        "Unsere Nachbarin",
        "Ein Brief ohne Absender",
        "Das letzte Boot",
        "Frau Öztürk aus dem dritten Stock",
        "Der Junge mit der grünen Mütze",
        "Ein müder Fährmann",
    ),
    (
        "wartet bis zum Abend",
        "schweigt seit Stunden",
        "kennt den Weg über die Felder",
        "zählt die Möwen am Kai",
        "erinnert sich an jedes Wort",
        "lässt das Licht im Flur brennen",
        "glaubt nicht an große Zufälle",
    ),
    (
        ".",
        ", und niemand fragt, warum.",
        ", obwohl der Regen nicht aufhört.",
        ", so wie jedes Jahr im Herbst.",
        "; mehr weiß man nicht.",
        "!",
    ),
)
_SPANISH: _Parts = (
    (
        "La panadera de la esquina",
        "El tren de las ocho",
        "Mi tío Andrés",
        "Una carta sin firma",
        "El faro viejo",
        "La niña del paraguas rojo",
    ),
    (
        "llega siempre tarde",
        "guarda un secreto bajo la mesa",
        "canta cuando nadie escucha",
        "espera junto a la ventana",
        "conoce cada calle del barrio",
        "sueña con el mar",
    ),
    (".", ", ¿y quién no?", ", aunque llueva.", "; así fue aquel año.", ", según cuenta mi madre.", " ¡por fin!"),
)
_POLISH: _Parts = (
    (
        "Stary zegarmistrz",
        "Kobieta z trzeciego piętra",
        "Ostatni tramwaj",
        "Młodszy brat Zośki",
        "Żółta łódka",
        "Pies sąsiada",
    ),
    (
        "czeka na pierwszy śnieg",
        "nie mówi ani słowa",
        "zna drogę przez las",
        "wraca dopiero wieczorem",
        "pamięta tamto lato",
        "gubi klucze co piątek",
    ),
    (".", ", choć nikt nie pyta.", ", jak zawsze w październiku.", "; reszta jest w zeszycie.", "!"),
)
_HINDI: _Parts = (
    ("बूढ़ा माली", "मेरी नानी", "आख़िरी बस", "गली का लड़का", "पुरानी घड़ी"),
    ("शाम तक इंतज़ार करता है", "सब कुछ याद रखती है", "धीरे से मुस्कुराती है", "रास्ता जानता है", "कुछ नहीं कहती"),
    ("।", ", और कोई नहीं पूछता।", ", हर साल की तरह।", "!"),
)
_JAPANESE: _Parts = (
    ("祖母は", "最後の電車は", "灯台守は", "隣の猫は", "小さな店の主人は", "あの手紙は"),
    (
        "夕方まで待っていました",
        "何も言いませんでした",
        "道をよく知っています",
        "窓を開けたままにしました",
        "雪の匂いを覚えています",
    ),
    ("。", "、誰も理由を聞きません。", "、いつもの秋のように。", "！"),
)
_ARABIC: _Parts = (
    ("حارس المنارة", "جدتي", "القطار الأخير", "صاحب المقهى", "الرسالة القديمة"),
    ("ينتظر حتى المساء", "لا يقول شيئًا", "يعرف الطريق جيدًا", "يتذكر ذلك الصيف", "يبتسم بهدوء"),
    (".", "، ولا أحد يسأل لماذا.", "، كما في كل عام.", "!"),
)


def _sentences(parts: _Parts, gap: str = " ") -> tuple[str, ...]:
    openings, middles, ends = parts
    return tuple(f"{a}{gap}{b}{c}" for a, b, c in product(openings, middles, ends))


LANGUAGES = ("en", "de", "es", "pl", "hi", "ja", "ar")
POOLS: tuple[tuple[str, ...], ...] = (
    _sentences(_ENGLISH),
    _sentences(_GERMAN),
    _sentences(_SPANISH),
    _sentences(_POLISH),
    _sentences(_HINDI),
    _sentences(_JAPANESE, ""),
    _sentences(_ARABIC),
    _sentences(_DESK),
    _sentences(_ADVERT),
)
GAPS = (" ", " ", " ", " ", " ", "", " ", " ", " ")
"""The separator of two sentences of a pool."""
DESK, ADVERT = 7, 8

CHAPTERS = 60
TAGS = ("[whispers] ", "[excited] ", "[sighs] ", "[laughs] ")
PREFIXES: tuple[str, ...] = (
    "",
    *(f"{word} {k}. " for word in ("Chapter", "Kapitel", "Capítulo", "Rozdział") for k in range(1, CHAPTERS + 1)),
    *TAGS,
)
FIRST_TAG = 1 + 4 * CHAPTERS

SPECIALS: tuple[str, ...] = (
    "“Once upon a time…”, she began – slowly.",
    '=SUM(A1:A9) is what the sheet said, "and that is that".',
    "<script>alert('hello')</script> she read aloud, tag by tag.",
    "First line,\nsecond line;\r\nthird\tline with a tab.",
    'He said: "Don\'t", then <b>nothing</b> & left, 100% sure.',
    "@channel +49 30 1234567 -2+3 |calc",
    "Cafe\u0301 cre\u0300me bru\u0302le\u0301e, n\u0303andu\u0301 and Z\u0336a\u0334l\u0337g\u0335o\u0338.",
    "👩🏽‍🚀🏳️‍🌈 ❤️‍🔥 family: 👨‍👩‍👧‍👦 flag: 🇵🇱 keycap: 5️⃣",
    'C:\\Users\\anna\\Desktop\\CON.txt?*|<>"',
    "\u202eright to left override\u202c and a zero\u200bwidth space",
    "'; DROP TABLE voices; -- was the name of the band.",
    "Hi",
    "   leading and trailing spaces   ",
    "../{not_a_field}%s{0} $HOME`id`",
)
