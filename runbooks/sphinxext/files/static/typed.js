/* Puts what a reader types at the top of the page into its commands and files.
 *
 * It has no rules and no places of its own. The form carries the rules that the command applies
 * (runbooks/refusals.py); each block where in it the arguments stand (runbooks/book/typed.py). What
 * is typed stays in the browser, in the part of the address that is never sent: the fragment.
 */
(() => {
  "use strict";

  const form = document.getElementById("typed");
  if (!form) return;

  const fields = [...form.querySelectorAll("[data-kind]")];
  const said = document.getElementById("typed-said");
  const note = form.querySelector(".note");
  const reset = form.querySelector("button");
  const rules = {};
  for (const [kind, of] of Object.entries(JSON.parse(form.dataset.rules)))
    rules[kind] = of.map(rule => ({ refuses: new RegExp(rule.refuses, "u"), reason: rule.reason }));

  const blocks = [...document.querySelectorAll("[data-typed]")].map(block => {
    const pre = block.querySelector("pre");
    return { pre, printed: pre.cloneNode(true), places: JSON.parse(block.dataset.typed) };
  });

  /* -- how text is quoted: as Python does ------------------------------------------------------ */

  const isSafe = text => /^[\w@%+=:,./-]+$/.test(text);
  const escaped = text => text.replaceAll("'", `'"'"'`);
  const quoted = text => (isSafe(text) ? text : `'${escaped(text)}'`);
  const forms = {
    plain: text => text,
    expression: text => text.replace(/[()[\]{}?*+\-|^$\\.&~# \t\n\r\v\f]/g, "\\$&"),
  };
  const isPrintable = text => !/(?! )[\p{C}\p{Z}]/u.test(text);

  function represented(text) {
    const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
    const named = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\", [mark]: `\\${mark}` };
    const coded = one => {
      const code = one.codePointAt(0).toString(16);
      if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
      return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
    };
    const spelled = one => named[one] ?? (isPrintable(one) ? one : coded(one));
    return mark + Array.from(text, spelled).join("") + mark;
  }

  /* Text in a message: see short() in runbooks/errors.py. */
  function short(text) {
    let shown = isPrintable(text) ? quoted(text) : represented(text);
    if (shown === text) shown = `'${text}'`;
    const characters = Array.from(shown);
    return characters.length <= 60 ? shown : `${characters.slice(0, 58).join("")}…${shown[0]}`;
  }

  function told(rule, text) {
    const words = {
      text: short(text),
      given: text,
      length: Array.from(text).length.toLocaleString("en-US"),
      scheme: text.split("://")[0],
    };
    return rule.reason.replace(/\{(\w+)\}/g, (_, name) => words[name]);
  }

  /* -- what is typed --------------------------------------------------------------------------- */

  /* Several, on lines of their own, with blanks or commas between them, or as mail programs copy
   * them: Name <address>. Each once. */
  function several(text) {
    const found = new Map();
    for (const part of text.split(/[\n,]+/)) {
      const named = /^\s*(?:[^\s^<>][^<>]*)?<([^<>]*)>\s*$/.exec(part);
      for (const one of (named ? named[1] : part).split(/\s+/))
        if (one && !found.has(one.toLowerCase())) found.set(one.toLowerCase(), one);
    }
    return [...found.values()];
  }

  const read = {
    address: text => several(text).map(one => ({ given: one, meant: one })),
    list: text => {
      const name = text.replace(/^ +| +$/g, "");
      return name ? [{ given: text, meant: name.toLowerCase() }] : [];
    },
    host: text => (text.trim() ? [{ given: text.trim(), meant: text.trim() }] : []),
  };

  /* What a field has: the values, or the reason why it is refused. */
  function examined(field) {
    const kind = field.dataset.kind;
    const reasons = [];
    const values = read[kind](field.value);
    for (const { given, meant } of values) {
      const rule = rules[kind].find(one => one.refuses.test(meant));
      if (rule) reasons.push(told(rule, given));
    }
    const others = reasons.length - 1;
    const more = others > 0 ? `; ${others} more ${others === 1 ? "is" : "are"} bad` : "";
    return {
      values: reasons.length ? [] : values.map(value => value.meant),
      reason: reasons.length ? reasons[0] + more : "",
    };
  }

  /* -- the blocks ------------------------------------------------------------------------------ */

  function typed(text) {
    const mark = document.createElement("mark");
    mark.className = "typed";
    mark.textContent = text;
    return mark;
  }

  /* One place, as nodes. */
  function filled(place, values) {
    const number = place.between ? values[place.pieces.find(piece => piece.kind).kind].length : 1;
    const found = document.createDocumentFragment();
    for (let at = 0; at < number; at += 1) {
      if (at) found.append(place.between);
      const pieces = place.pieces.map(piece => {
        if (typeof piece === "string") return { text: piece };
        const given = values[piece.kind];
        const text = forms[piece.form](given.length ? given[at] : piece.example);
        return { text, isTyped: given.length > 0 };
      });
      const isQuoted = place.is_word && !isSafe(pieces.map(piece => piece.text).join(""));
      if (isQuoted) found.append("'");
      for (const piece of pieces) {
        const text = isQuoted ? escaped(piece.text) : piece.text;
        found.append(piece.isTyped ? typed(text) : text);
      }
      if (isQuoted) found.append("'");
    }
    return found;
  }

  /* The text node of a block that has a character, and where in it. At an end, the node before. */
  function position(pre, offset, isEnd) {
    const texts = document.createTreeWalker(pre, NodeFilter.SHOW_TEXT);
    let last = null;
    while (texts.nextNode()) {
      const length = texts.currentNode.length;
      if (offset < length || (isEnd && offset === length)) return [texts.currentNode, offset];
      offset -= length;
      last = texts.currentNode;
    }
    return [last, last.length];
  }

  /* One for all: a browser looks after every range that there is. */
  const range = document.createRange();

  function fill(block, values) {
    const { pre, printed, places } = block;
    const made = printed.cloneNode(true);
    for (const place of [...places].sort((one, other) => other.start - one.start)) {
      if (!place.pieces.some(piece => piece.kind && values[piece.kind].length)) continue;
      range.setStart(...position(made, place.start, place.start === place.end));
      range.setEnd(...position(made, place.end, true));
      range.deleteContents();
      range.insertNode(filled(place, values));
    }
    /* The page is changed once, when all is made. */
    pre.replaceChildren(...made.childNodes);
  }

  /* -- the page -------------------------------------------------------------------------------- */

  const paper = matchMedia("print");
  let values = {};
  let filledWith = "";

  function show() {
    const reasons = [];
    values = {};
    for (const field of fields) {
      const found = examined(field);
      values[field.dataset.kind] = found.values;
      field.setAttribute("aria-invalid", String(Boolean(found.reason)));
      if (found.reason) reasons.push(found.reason);
    }
    if (said.textContent !== reasons.join(" ")) said.textContent = reasons.join(" ");
    const isTyped = Object.values(values).some(of => of.length);
    note.hidden = !isTyped;
    reset.disabled = !fields.some(field => field.value);
    /* On paper the page is as it was verified. */
    const none = Object.fromEntries(fields.map(field => [field.dataset.kind, []]));
    const wanted = paper.matches ? none : values;
    if (JSON.stringify(wanted) === filledWith) return;
    filledWith = JSON.stringify(wanted);
    for (const block of blocks) fill(block, wanted);
  }

  /* -- the fragment: #anchor?address=…&list=…&host=… ------------------------------------------- */

  /* A person can read it: @, : and / mean nothing there. A chat might end a link at a '. */
  const encoded = text =>
    encodeURIComponent(text)
      .replace(/%(40|3A|2F)/g, decodeURIComponent)
      .replaceAll("'", "%27");

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; /* a percent sign that encodes nothing */
    }
  }

  function split() {
    const [anchor, ...query] = location.hash.slice(1).split("?");
    return { anchor, query: query.join("?") };
  }

  function keep() {
    const { anchor } = split();
    const query = Object.entries(values)
      .flatMap(([kind, of]) => of.map(one => `${kind}=${encoded(one)}`))
      .join("&");
    const hash = anchor + (query ? `?${query}` : "");
    if (location.hash.slice(1) !== hash)
      history.replaceState(history.state, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  let waiting = 0;

  function keepSoon() {
    clearTimeout(waiting);
    waiting = setTimeout(keep, 200);
  }

  function goTo(anchor) {
    /* At once: a smooth way there ends early when the page changes meanwhile. */
    document.getElementById(decoded(anchor))?.scrollIntoView({ behavior: "instant" });
  }

  /* From a link, or from the address that was edited. */
  function open() {
    const { anchor, query } = split();
    if (query) {
      const pairs = query.split("&").map(pair => pair.split("="));
      for (const field of fields)
        field.value = pairs
          .filter(([kind]) => kind === field.dataset.kind)
          .map(([, ...text]) => decoded(text.join("=")))
          .join(" ");
      show();
      measure();
      goTo(anchor);
    }
    keep();
  }

  /* How far down the form reaches when it stays in sight: no heading is to be covered. */
  function measure() {
    const bottom = parseFloat(getComputedStyle(form).top) + form.offsetHeight;
    document.documentElement.style.setProperty("--typed-bottom", `${bottom}px`);
  }

  form.hidden = false;
  document.documentElement.classList.add("has-typed");
  new ResizeObserver(measure).observe(form);

  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", () => {
    show();
    keepSoon();
  });
  form.addEventListener("reset", () => {
    /* The fields are emptied after this event. */
    setTimeout(() => {
      show();
      keep();
      fields[0].focus();
    });
  });
  paper.addEventListener("change", show);
  addEventListener("hashchange", open);
  /* What a browser has put back into the fields, when the reader comes back to the page. */
  addEventListener("pageshow", show);
  show();
  open();
  /* The browser went there before there was a form. */
  measure();
  goTo(split().anchor);
})();
