// Keeps the page as it is on the server: asks for it again when the stream says that an update came, and says so
// where that is not possible. Nothing here writes HTML that the server did not make.
"use strict";

const DEBOUNCE = 150, JITTER = 150, SHORTEST_PAUSE = 400, LONGEST_SILENCE = 60_000; // milliseconds
const FIRST_RETRY = 300, LAST_RETRY = 15_000, ANSWER_RETRY = 2_000, PATIENCE = 1_000;
const parameters = new URLSearchParams(location.search);
const notice = document.getElementById("connection");
let shown = document.getElementById("main").innerHTML, refreshedAt = 0, planned = null;
let asked = 0, answered = 0; // an answer that was overtaken by a later one is not shown
let source = null, failures = 0, retry = null, again = null, lostAt = null, saying = null;

// Only what an incident keeps for ever: one that is resolved must leave a page that asks for open ones.
function streamAddress() {
  const kept = ["token", "page"].filter((name) => parameters.get(name)).map((name) => [name, parameters.get(name)]);
  return "stream?" + new URLSearchParams(kept);
}

const time = { hour: "2-digit", minute: "2-digit" }, day = { day: "numeric", month: "short" };
const ofToday = new Intl.DateTimeFormat(undefined, time), ofThisYear = new Intl.DateTimeFormat(undefined, { ...day, ...time });
const ofDays = new Intl.DateTimeFormat(undefined, { ...day, year: "numeric", timeZone: "UTC" });
const ofOtherYears = new Intl.DateTimeFormat(undefined, { ...day, year: "numeric", ...time });

function localise(within) {
  const now = new Date();
  for (const element of within.querySelectorAll("time")) {
    const instant = new Date(element.dateTime);
    if (element.className === "ago") {
      element.title = `${ofOtherYears.format(instant)}, ${element.title}`;
      continue;
    }
    const isToday = instant.toDateString() === now.toDateString(), isNear = instant.getFullYear() === now.getFullYear();
    element.textContent = (isToday ? ofToday : isNear ? ofThisYear : ofOtherYears).format(instant);
  }
}

// What only a script can do is offered by it.
function enliven(within) {
  localise(within);
  for (const button of within.querySelectorAll(".copy")) button.hidden = false;
}

// Without https a browser gives no clipboard: then the text is selected.
async function copy(button) {
  const text = document.getElementById(button.getAttribute("aria-describedby"));
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text);
    button.textContent = "Selected";
  }
}

// The day of a strip that the pointer is on, and what was that day.
function dayAt({ target, clientX }) {
  const strip = target.closest?.("a.strip"), of = document.getElementById("strips")?.dataset;
  if (!strip) return null;
  const { left, width } = strip.getBoundingClientRect(), last = 89;
  const number = Math.max(0, Math.min(last, Math.floor((clientX - left) / width * (last + 1))));
  const day = new Date(Date.parse(of.first) + number * 86_400_000);
  const word = of.words.split(",")[strip.dataset.days?.[number] ?? 6];
  return { strip, day, word: word === "Operational" ? "No incident" : word };
}

// Said after a moment: a connection that is cut and comes back at once is no news.
function lose() {
  lostAt ??= new Date();
  saying ??= setTimeout(() => {
    notice.textContent = `Connection lost since ${ofToday.format(lostAt)}; what you see may be out of date`;
  }, PATIENCE);
}

function find() {
  clearTimeout(saying);
  lostAt = saying = null;
  notice.textContent = "";
}

// Shows what the server has now, or says that this is not possible.
async function update() {
  if (await refresh()) {
    if (source.readyState === EventSource.OPEN) find();
    return;
  }
  lose();
  clearTimeout(again);
  again = setTimeout(update, ANSWER_RETRY * (1 + Math.random()));
}

function listen() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource(streamAddress());
  source.onopen = () => { failures = 0; update(); };
  source.onmessage = plan;
  source.addEventListener("gap", plan);
  source.onerror = () => {
    // A browser gives up where the answer is no stream, such as 503 for one too many: so it is done here.
    source.close();
    retry = setTimeout(listen, Math.min(LAST_RETRY, FIRST_RETRY * 2 ** failures++) * (1 + Math.random()));
    lose();
    update();
  };
}

function plan() {
  if (planned !== null) return;
  const pause = Math.max(0, refreshedAt + SHORTEST_PAUSE - Date.now());
  const run = () => { planned = null; update(); };
  planned = setTimeout(run, Math.max(pause, DEBOUNCE) + Math.random() * JITTER);
}

// Resolves to whether the page now shows what the server answered.
async function refresh() {
  refreshedAt = Date.now();
  const number = ++asked;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(20_000) });
    if (!answer.ok) return false;
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (number > answered) replace(made);
    answered = Math.max(number, answered);
    return true;
  } catch {
    return false;
  }
}

function replace(made) {
  const old = document.getElementById("main"), main = made.getElementById("main");
  if (main.innerHTML === shown) return;
  shown = main.innerHTML;
  enliven(main);
  const opened = new Map([...old.querySelectorAll("details")].map((details) => [details.id, details.open]));
  for (const details of main.querySelectorAll("details")) details.open = opened.get(details.id) ?? details.open;
  const isNew = (element) => !document.getElementById(element.id);
  const fresh = [...main.querySelectorAll(".latest > li[id]")].filter(isNew);
  fresh.forEach((element) => element.classList.add("new"));
  const focused = place(document.activeElement), anchor = scrollY > 0 ? topmost(old) : null;

  old.replaceWith(document.adoptNode(main));
  document.title = made.title;
  renew("filters", made);
  if (focused) at(focused)?.focus({ preventScroll: true });
  const moved = anchor && document.getElementById(anchor.id);
  if (moved) scrollBy({ top: moved.getBoundingClientRect().top - anchor.top, behavior: "instant" });
  if (fresh.length) announce(fresh[0]);
}

// To those who listen to a page.
function announce(update) {
  const text = (selector) => update.querySelector(selector).textContent;
  document.getElementById("news").textContent = `New: ${text("a")}: ${text(".said")}`;
}

// The filters know new pages, too, unless someone is using them.
function renew(id, made) {
  const old = document.getElementById(id), fresh = made.getElementById(id);
  if (!fresh || old?.contains(document.activeElement) || (old && isEdited(old.querySelector("form")))) return;
  if (old?.querySelector(":popover-open")) return;
  if (old) old.replaceWith(document.adoptNode(fresh));
  else document.querySelector("header").append(document.adoptNode(fresh));
}

function isEdited(form) {
  const chosen = (select) => Math.max(0, [...select.options].findIndex((option) => option.defaultSelected));
  const isLeft = (field) => field.options ? field.selectedIndex === chosen(field) : field.value === field.defaultValue;
  return ![...form.querySelectorAll("select, input")].every(isLeft);
}

const REACHABLE = "a[href], summary, button";

function place(element) {
  const holder = element?.matches?.(`main :is(${REACHABLE})`) ? element.closest("[id]") : null;
  return holder && { id: holder.id, index: [...holder.querySelectorAll(REACHABLE)].indexOf(element) };
}

function at({ id, index }) {
  return document.getElementById(id)?.querySelectorAll(REACHABLE)[index];
}

function topmost(main) {
  for (const element of main.querySelectorAll("details[id]:not(.folded), li[id]")) {
    const { top, bottom } = element.getBoundingClientRect();
    if (bottom > 0) return { id: element.id, top };
  }
  return null;
}

enliven(document);
addEventListener("pointermove", (event) => {
  const found = dayAt(event);
  if (found) found.strip.title = `${ofDays.format(found.day)}: ${found.word}`;
});
// A pointer chooses a day of the strip; Enter goes to the page, where each day is a link.
addEventListener("click", (event) => {
  if (event.target.matches?.(".copy")) copy(event.target);
  const found = dayAt(event);
  if (!found) return;
  const address = new URL(found.strip.href);
  if (event.detail) address.searchParams.set("day", found.day.toISOString().slice(0, 10));
  else address.searchParams.delete("day");
  found.strip.href = address;
}, { capture: true });
addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});
addEventListener("offline", lose);
addEventListener("online", listen);
// A stream whose other end vanished looks open for long, and durations grow.
setInterval(update, LONGEST_SILENCE);
listen();
