"use strict";
/* One document at a time. Crawled text is only ever set as text; answers wait in this browser until the server has them. */

const WORDS = {
  en: {
    title: "Review", undo: "Undo", adjudicate: "Adjudicate", guide: "Guideline", language: "中文", good: "Good",
    classes: "Other defect", mark: "Mark selection", send: "Send as bad", close: "Close", more: "Show the rest",
    progress: (p) => `${p.given} of ${p.wanted} readings, ${p.mine} by you` +
      (p.median_seconds ? `, ${p.median_seconds.toFixed(0)} s each` : "") + (p.contested ? `; ${p.contested} to adjudicate` : ""),
    done: "Nothing is left for you to read. Thank you.", none: "Nothing is left for you to adjudicate.",
    hints: (h) => h.length ? `Automatic readers on the last one: ${h.join(", ")}` : "Automatic readers on the last one: nothing",
    correcting: "You are correcting an earlier answer. Esc leaves it as it was.", nothing: "You have not answered anything yet.",
    picking: "Arrow keys choose a word, with Shift a passage; m marks it, Esc leaves.",
    others: (o) => `Readers said: ${o.join("; ")}`, away: "The server does not answer; your answers are kept here and sent again.",
    kept: "Your answers are kept here and sent when this page is opened again.",
    choose: "Samples to read", norun: "This run has no sample: the task `evaluate` of data_factory and synthesize draws it, and has not ended.", nosamples: "There is no sample yet.",
    facts: { source: "Source", language: "Language", url: "URL", characters: "Characters", mark: "Marked" },
    defects: { advertising: "Advertising", web_residue: "Web residue", mojibake: "Mojibake", toxic: "Toxic", privacy: "Privacy",
      truncated: "Truncated", repetition: "Repetition", incoherent: "Incoherent words", foreign_language: "Foreign language",
      navigation: "Navigation", promotion: "Promotion", insult: "Insult", coherence: "Coherence", readability: "Readability", other: "Other" },
  },
  zh: {
    title: "审读", undo: "撤销", adjudicate: "仲裁", guide: "指南", language: "English", good: "好",
    classes: "其他缺陷", mark: "标出所选", send: "判为坏", close: "关闭", more: "显示其余",
    progress: (p) => `已读 ${p.given} / ${p.wanted} 次，您读了 ${p.mine} 篇` +
      (p.median_seconds ? `，每篇 ${p.median_seconds.toFixed(0)} 秒` : "") + (p.contested ? `；待仲裁 ${p.contested} 篇` : ""),
    done: "没有需要您读的文档了，谢谢。", none: "没有需要您仲裁的文档了。",
    hints: (h) => h.length ? `自动读者对上一篇的判断：${h.join("、")}` : "自动读者对上一篇的判断：没有发现",
    correcting: "您正在修改先前的回答。按 Esc 保持原样。", nothing: "您还没有回答过。",
    picking: "方向键选词，按住 Shift 选一段；m 标出，Esc 退出。",
    others: (o) => `读者的回答：${o.join("；")}`, away: "服务器没有响应；您的回答已保存在此，会再次发送。",
    kept: "您的回答已保存在此，重新打开本页后会再次发送。",
    choose: "待读样本", norun: "这次运行没有样本：样本由 data_factory 和 synthesize 的 evaluate 任务抽取，该任务尚未结束。", nosamples: "还没有样本。",
    facts: { source: "来源", language: "语言", url: "网址", characters: "字符数", mark: "已标出" },
    defects: { advertising: "广告", web_residue: "网页残留", mojibake: "乱码", toxic: "有害", privacy: "隐私", truncated: "截断",
      repetition: "重复", incoherent: "不知所云", foreign_language: "外语", navigation: "导航", promotion: "软文", insult: "辱骂",
      coherence: "不连贯", readability: "难以阅读", other: "其他" },
  },
};
const SHOWN = 60000; // characters drawn at once: a document of megabytes must not hold the browser up
const DIGITS = "1234567890-=";
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]/;
const $ = (id) => document.getElementById(id);

const state = { language: (localStorage.getItem("review.language") || navigator.language).startsWith("zh") ? "zh" : "en",
  user: "", sample: "", retry: 0, document: null, defects: new Set(), span: null, shown: 0, adjudicate: false, correcting: null, picking: false, busy: false };
const words = () => WORDS[state.language];

/* The server */

async function call(path, body) {
  const reader = { "X-Reader": encodeURIComponent(state.user) }; // another person's login must not answer in their name
  const options = body === undefined ? { headers: reader } : { method: "POST", body: JSON.stringify(body),
    headers: { ...reader, "Content-Type": "application/json", "X-Review": "tokenmill" } };
  const response = await fetch(path, { credentials: "same-origin", ...options });
  const content = await response.json().catch(() => null);
  if (response.ok && content !== null) return content; // a page where to log in is no answer
  const detail = content?.detail || response.statusText;
  throw Object.assign(new Error(typeof detail === "string" ? detail : JSON.stringify(detail)), { status: response.ok ? 0 : response.status });
}

const query = (more) => new URLSearchParams({ sample: state.sample, ...more });
const outbox = () => `review.outbox.${state.user}.${state.sample}`;
const waiting = () => JSON.parse(localStorage.getItem(outbox()) || "[]");

/* Send what is waiting, oldest first. An answer leaves this browser's storage only when the server has taken it. */
async function flush() {
  let last = null;
  while (waiting().length) {
    const [answer] = waiting();
    try {
      last = await call("api/answer", { sample: state.sample, answer, adjudicate: state.adjudicate });
    } catch (error) {
      if (error.status === 422) forget(answer); // refused: it can never be taken
      throw error;
    }
    forget(answer);
  }
  return last;
}

function forget(answer) {
  const same = JSON.stringify(answer);
  localStorage.setItem(outbox(), JSON.stringify(waiting().filter((item) => JSON.stringify(item) !== same)));
}

/* What is to be seen */

function label(button, text) {
  button.replaceChildren(text);
  if (button.dataset.key) {
    const key = document.createElement("kbd");
    key.textContent = button.dataset.key;
    button.append(key);
  }
}

function relabel() {
  document.documentElement.lang = state.language;
  document.title = words().title;
  for (const id of ["undo", "adjudicate", "guide", "language", "good", "classes", "mark", "send", "close", "more"]) label($(id), words()[id]);
  for (const button of document.querySelectorAll("[data-defect]")) label(button, words().defects[button.dataset.defect]);
  if (state.document) facts();
}

function facts() {
  const { source, language, url, text } = state.document;
  const shown = { source, language, url, characters: [...text].length.toLocaleString(state.language) };
  if (state.span) shown.mark = `${state.span[0]}–${state.span[1]}`;
  $("facts").replaceChildren(...Object.entries(shown).filter(([, value]) => value).map(([name, value]) => {
    const group = document.createElement("div"), term = document.createElement("dt"), given = document.createElement("dd");
    term.textContent = words().facts[name];
    given.append(...pieces(String(value), 0));
    group.append(term, given);
    return group;
  }));
}

/* Text nodes and visible stand-ins for characters that could hide or reorder others; each knows where it begins. */
function pieces(text, from) {
  const found = [];
  let plain = "", begin = from;
  const close = () => { if (plain) { const node = document.createTextNode(plain); node.begin = begin; found.push(node); } plain = ""; };
  for (let i = 0; i < text.length; i += 1) {
    if (!CONTROL.test(text[i])) { if (!plain) begin = from + i; plain += text[i]; continue; }
    close();
    const stand = document.createElement("span");
    stand.className = "control";
    stand.textContent = `U+${text.charCodeAt(i).toString(16).toUpperCase().padStart(4, "0")}`;
    stand.begin = from + i;
    found.push(stand);
  }
  close();
  return found;
}

function draw(length) {
  const { text } = state.document;
  $("text").dataset.sample = state.document.sample_id;
  $("text").replaceChildren(...pieces(text.slice(0, length), 0));
  $("more").hidden = length >= text.length;
}

function show(next, answer) {
  Object.assign(state, { document: next, defects: new Set(answer ? answer.defects : []),
    span: answer && answer.start !== null ? [answer.start, answer.end] : null, picking: false, shown: performance.now(),
    shownAt: new Date().toISOString() });
  say("");
  $("defects").hidden = true;
  $("classes").setAttribute("aria-expanded", "false");
  $("others").hidden = true;
  $("samples").hidden = true;
  if (!next) {
    $("facts").replaceChildren();
    delete $("text").dataset.sample;
    $("text").textContent = state.adjudicate ? words().none : words().done;
    $("more").hidden = true;
  } else {
    facts();
    draw(SHOWN);
    const said = next.others.map((other) => other.label === "good" ? words().good : other.defects.map((d) => words().defects[d]).join(", "));
    if (said.length) { $("others").textContent = words().others(said); $("others").hidden = false; }
  }
  if (state.correcting !== null) say(words().correcting);
  $("main").scrollTop = 0;
  $("main").focus();
  buttons();
}

function buttons() {
  const can = Boolean(state.document) && !state.busy;
  $("good").disabled = !can;
  $("send").disabled = !can || !state.defects.size;
  for (const id of ["classes", "mark"]) $(id).disabled = !can;
  for (const button of document.querySelectorAll("[data-defect]")) {
    button.disabled = !can;
    button.setAttribute("aria-pressed", String(state.defects.has(button.dataset.defect)));
  }
  $("adjudicate").setAttribute("aria-pressed", String(state.adjudicate));
}

function progress(p) {
  $("status").textContent = words().progress(p);
  $("bar").style.setProperty("width", `${100 * p.given / Math.max(1, p.wanted)}%`);
  $("progress").setAttribute("aria-valuemax", p.wanted);
  $("progress").setAttribute("aria-valuenow", p.given);
}

function say(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

/* What a person does */

async function send(verdict) {
  if (!state.document || state.busy || (verdict === "bad" && !state.defects.size)) return;
  const answer = { sample_id: state.document.sample_id, doc_sha256: state.document.doc_sha256, label: verdict,
    defects: verdict === "bad" ? [...state.defects].sort() : [], shown_at: state.shownAt, answered_at: new Date().toISOString(),
    seconds: Math.min(86400, (performance.now() - state.shown) / 1000), adjudicated: state.document.others.length > 0 };
  if (verdict === "bad" && state.span) [answer.start, answer.end] = state.span;
  localStorage.setItem(outbox(), JSON.stringify([...waiting(), answer]));
  await advance();
}

/* Deliver and go on; where the server is away, try again until it is back. */
async function advance() {
  if (state.busy) return;
  state.busy = true;
  clearTimeout(state.retry); // a second one would draw the document anew, under the reader's hands
  buttons();
  try {
    let reply = await flush();
    state.correcting = null;
    if (reply) $("hints").textContent = words().hints(reply.hints.map((hint) => words().defects[hint] || hint));
    else reply = await call("api/next", { sample: state.sample, adjudicate: state.adjudicate });
    state.busy = false;
    progress(reply.progress);
    show(reply.document);
  } catch (error) {
    state.busy = false;
    buttons();
    if (error.status && error.status < 500) { say(waiting().length ? `${error.message} ${words().kept}` : error.message); return; }
    say(words().away);
    state.retry = setTimeout(advance, 2000);
  }
}

async function undo() {
  if (state.busy) return;
  const mine = await call(`api/mine?${query({})}`);
  const at = (state.correcting === null ? mine.length : state.correcting) - 1;
  if (at < 0) { say(words().nothing); return; }
  const { document: old, answer } = await call(`api/answered?${query({ sample_id: mine[at].sample_id })}`);
  if (state.busy) return; // an answer was given meanwhile
  clearTimeout(state.retry);
  state.correcting = at;
  show(old, answer);
}

function toggle(defect) {
  if (!state.document || state.busy) return;
  if (!state.defects.delete(defect)) state.defects.add(defect);
  buttons();
}

/* The selected passage as code points of the text, which is how Python counts. Without one, arrow keys choose it. */
function mark() {
  const selection = getSelection();
  if (!state.document) return;
  if (!selection.rangeCount || selection.isCollapsed || !$("text").contains(selection.anchorNode)) { pick(); return; }
  const range = selection.getRangeAt(0);
  const place = (node, offset) => {
    if (node === $("text")) node = node.childNodes[offset] || node.lastChild, offset = 0;
    const own = node.begin === undefined ? node.parentNode : node;
    return own.begin + (own.nodeType === Node.TEXT_NODE ? offset : 0);
  };
  const points = (end) => [...state.document.text.slice(0, end)].length;
  const [start, end] = [place(range.startContainer, range.startOffset), place(range.endContainer, range.endOffset)].map(points);
  if (end > start) state.span = [start, end];
  if (state.picking) { state.picking = false; say(""); }
  facts();
}

/* The first word on the screen is selected; arrow keys go on from there. */
function pick() {
  const box = $("main").getBoundingClientRect(), inside = $("text").getBoundingClientRect();
  const at = document.caretPositionFromPoint
    ? document.caretPositionFromPoint(inside.left + 2, Math.max(inside.top, box.top) + 8) : null;
  const there = at && $("text").contains(at.offsetNode);
  if (there) getSelection().collapse(at.offsetNode, at.offset);
  else getSelection().collapse($("text"), 0);
  getSelection().modify("extend", "forward", "word");
  state.picking = true;
  say(words().picking);
}

/* An arrow key goes to the word beside the selection, or with Shift takes it in. */
function move(key, extend) {
  const selection = getSelection(), forward = key === "ArrowRight" || key === "ArrowDown";
  const [way, unit] = [forward ? "forward" : "backward", key === "ArrowUp" || key === "ArrowDown" ? "line" : "word"];
  const before = selection.rangeCount ? selection.getRangeAt(0).cloneRange() : null;
  if (extend) selection.modify("extend", way, unit);
  else {
    if (forward && unit === "word") selection.collapseToEnd();
    else { selection.collapseToStart(); selection.modify("move", way, unit); }
    selection.modify("extend", "forward", "word");
  }
  if (before && !($("text").contains(selection.anchorNode) && $("text").contains(selection.focusNode))) {
    selection.removeAllRanges();
    selection.addRange(before);
  }
  const shown = selection.getRangeAt(0).getBoundingClientRect(), box = $("main").getBoundingClientRect();
  if (shown.bottom > box.bottom) $("main").scrollTop += shown.bottom - box.bottom + 40;
  if (shown.top < box.top) $("main").scrollTop += shown.top - box.top - 40;
}

async function guide() {
  const response = await fetch(`static/guideline.${state.language}.txt`, { credentials: "same-origin" });
  $("guideline-text").textContent = await response.text();
  $("guideline").showModal();
  $("guideline").scrollTop = 0;
}

const ACTIONS = {
  undo, guide, mark,
  good: () => send("good"),
  send: () => send("bad"),
  classes: () => { $("defects").hidden = !$("defects").hidden; $("classes").setAttribute("aria-expanded", String(!$("defects").hidden)); },
  adjudicate: () => { state.adjudicate = !state.adjudicate; state.correcting = null; return advance(); },
  language: () => { state.language = state.language === "zh" ? "en" : "zh"; localStorage.setItem("review.language", state.language); if (!state.sample) return start(); relabel(); return reload(); },
  more: () => draw(state.document.text.length),
  close: () => $("guideline").close(),
};

async function act(button) {
  if (button.disabled) return;
  try {
    if (button.dataset.defect) toggle(button.dataset.defect);
    else await ACTIONS[button.id]();
  } catch (error) {
    say(error.status ? error.message : words().away);
  }
}

addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && (button.dataset.defect || ACTIONS[button.id])) act(button);
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("guideline").open) return;
  if (state.picking && event.key.startsWith("Arrow")) { event.preventDefault(); move(event.key, event.shiftKey); return; }
  if (state.picking && event.key === "Escape") { state.picking = false; getSelection().removeAllRanges(); say(""); return; }
  if (event.key === "Escape" && state.correcting !== null) { state.correcting = null; advance(); return; }
  if (event.key === "Enter" && document.activeElement.tagName === "BUTTON") return; // the button's own
  const button = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key && one.offsetParent);
  if (!button) return;
  event.preventDefault();
  if (!event.repeat) act(button);
});

$("mark").addEventListener("mousedown", (event) => event.preventDefault()); // which would undo the selection

/* The beginning */

async function reload() {
  const now = await call(`api/state?${query({})}`);
  progress(now.progress);
  return now;
}

const airflow = (path, body) => call(`../api/v2/${path}`, body);

async function sampleOf(dag, run) {
  const path = `dags/${encodeURIComponent(dag)}/dagRuns/${encodeURIComponent(run)}/taskInstances/evaluate/xcomEntries/return_value`;
  const { value } = await airflow(path);
  return (typeof value === "string" ? JSON.parse(value) : value).ref;
}

async function choose() {
  const { dag_runs: runs } = await airflow("dags/~/dagRuns/list", { dag_ids: ["data_factory", "synthesize"], order_by: "-run_after", page_limit: 60 });
  const unless404 = (error) => { if (error.status !== 404) throw error; };
  const found = await Promise.all(runs.map((run) => sampleOf(run.dag_id, run.dag_run_id).then((ref) => ({ run, ref }), unless404)));
  const heading = document.createElement("h1");
  heading.textContent = words().choose;
  const choices = found.filter(Boolean).map(({ run, ref }) => {
    const button = document.createElement("button");
    button.textContent = [run.partition_key, run.dag_id, run.dag_run_id].filter(Boolean).join(" · ");
    button.addEventListener("click", () => { history.replaceState(null, "", `?${new URLSearchParams({ sample: ref })}`); start(); });
    return button;
  });
  $("samples").replaceChildren(heading, ...choices);
  $("samples").hidden = false;
  say(choices.length ? "" : words().nosamples);
}

async function begin(ref) {
  state.sample = ref;
  const now = await reload();
  state.user = now.user;
  const direct = [...document.querySelectorAll("#verdicts [data-defect]")].map((button) => button.dataset.defect);
  $("defects").replaceChildren(...now.defects.filter((name) => !direct.includes(name)).map((name, i) => {
    const button = document.createElement("button");
    Object.assign(button.dataset, { defect: name, key: DIGITS[i] || "" });
    return button;
  }));
  relabel();
  await advance();
}

async function start() {
  relabel();
  buttons();
  clearTimeout(state.retry);
  const parameters = new URLSearchParams(location.search);
  try {
    const given = parameters.get("sample");
    if (given) await begin(given);
    else if (parameters.get("run_id")) await begin(await sampleOf(parameters.get("dag_id"), parameters.get("run_id")));
    else await choose();
  } catch (error) {
    if (error.status) { say(error.status === 404 && !state.sample ? words().norun : error.message); return; }
    say(words().away);
    state.retry = setTimeout(start, 2000);
  }
}

start();
