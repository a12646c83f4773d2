import { byId } from "./dom";
import { DrawingSheet } from "./panels/drawing";
import { clearEvidence, showEvidence } from "./panels/wire";
import { type Example, Examples } from "./panels/examples";
import { percent } from "./format";
import { KeyCard } from "./panels/key";
import { ServerKnowledge } from "./panels/server";
import type { KeyFacts } from "./messages";
import { ModelChoice, short } from "./panels/models";
import { KeyboardPen } from "./panels/pen";
import { Recovery } from "./panels/recovery";
import { Scores } from "./panels/scores";
import { Session } from "./session";
import { Status } from "./panels/status";
import { Timings } from "./panels/timings";

/**
 * Time between the last stroke and scoring: minimal where answers are fast, otherwise long enough
 * for another stroke.
 */
const PAUSE_MS = { fast: 40, slow: 250 };
/** Longest time of an answer that counts as fast. */
const FAST_MS = 60;

const status = new Status();
const scores = new Scores([..."0123456789"]);
const timings = new Timings();
const keyCard = new KeyCard();
const keys = new Map<string, KeyFacts>();

/** Model from `?model=`, which the page then keeps. */
const asked = new URLSearchParams(location.search).get("model");
let mayChange = asked === null;
/** Example on the sheet, if nothing was drawn on it. */
let example: Example | null = null;

const session = new Session(asked, {
  state(state) {
    status.state(state);
    if (state !== "error") recovery.quiet();
    if (state === "ready" || state === "answered") recovery.recovered();
  },
  progress(model, phase, fraction) {
    if (model === session.model) status.progress(phase, fraction);
    else choice.warming(model, phase, fraction);
  },
  models(models) {
    choice.show(models, session.model);
    showModel();
  },
  keys(model, facts) {
    keys.set(model, facts);
    knowledge.key(facts);
    if (model === session.model) showModel();
    if (facts.outdated) {
      status.notice("Your key from an earlier version was deleted: it protected drawings less well than it should have. A new one was made.");
    } else if (facts.uploaded && !facts.generated) {
      status.notice("The server no longer had your public key: it had expired or was removed. A new one was made and uploaded.");
    }
    if (mayChange && model === session.model) prepareBetter();
  },
  warmed(model) {
    choice.settled(model);
    if (!mayChange) return;
    mayChange = false;
    choice.select(model);
    use(model);
    status.announce(`${title(model)}: ready, and in use now.`);
  },
  cooled: (model) => choice.settled(model),
  sent: (sent) => knowledge.sent(sent),
  took: (model, ms) => choice.took(model, ms),
  answer(answer) {
    const verdict = example === null ? "" : judge(answer.label, example.label);
    scores.show(answer, verdict);
    showEvidence(answer);
    timings.show(answer);
    status.answer(answer, verdict);
  },
  blank: () => status.say("There is no ink on the sheet. Draw a digit."),
  forgotten() {
    sheet.wipe();
    wipe();
    keys.clear();
    knowledge.forgotten();
    keyCard.forgotten();
    timings.forgetKeys();
    status.say("Forgotten: your keys are deleted on the server and here. Draw to make new ones.");
  },
  failed(trouble) {
    // An answer to something else would be misleading.
    if (!session.forgetting) takeAwayAnswer();
    recovery.failed(trouble, session.forgetting ? "Nothing is forgotten yet." : "");
    keyCard.keep();
  },
});

const choice = new ModelChoice({
  chosen(model) {
    mayChange = false;
    use(model);
  },
  stopped() {
    mayChange = false;
    session.cool();
    status.announce("Stopped. Choose the model to make its key.");
  },
});
const title = (model: string) => short(choice.of(model)?.title ?? model);
const knowledge = new ServerKnowledge(title);
const recovery = new Recovery(() => {
  if (session.forgetting) session.forget();
  else if (sheet.blank) session.prepare();
  else session.score(sheet.ink());
});

/** Switches to another model and scores the current drawing, if there is one. */
function use(model: string) {
  session.use(model);
  showModel();
  takeAwayAnswer();
  if (!sheet.blank) session.score(sheet.ink());
}

/** Shows facts about the model in use and its key. */
function showModel() {
  const model = choice.of(session.model);
  if (!model) return;
  scores.label(model.labels);
  const line = byId("accuracy");
  line.hidden = model.accuracy === null;
  if (model.accuracy !== null) {
    line.textContent = `The model reads ${percent(model.accuracy)} of MNIST’s test digits correctly, so it will misread some of yours.`;
  }
  const facts = keys.get(model.name);
  if (!facts) return;
  keyCard.show(facts);
  timings.keys(facts);
}

/** Prepares the best model in the background, unless the visitor wants to save data. */
function prepareBetter() {
  const better = choice.better(session.model);
  const { connection } = navigator as Navigator & { connection?: { saveData?: boolean } };
  if (!better || keys.has(better.name) || connection?.saveData) return;
  choice.warming(better.name, "generate", 0);
  session.warm(better.name);
}

/** Compares an answer with the example's label. */
function judge(answer: string, label: string): string {
  return answer === label ? `Right: MNIST calls it a ${label}` : `Wrong: MNIST calls it a ${label}`;
}

let timer = 0;
const canvas = byId<HTMLCanvasElement>("drawing");
const undoButton = byId<HTMLButtonElement>("undo");
const sheet = new DrawingSheet(canvas, {
  started() {
    clearTimeout(timer);
    example = null;
    status.notice("");
    byId("hint").hidden = true;
    session.cancel();
  },
  finished() {
    undoButton.disabled = false;
    scoreSoon();
  },
});
new KeyboardPen(canvas, byId("pen"), sheet, { clear, undo });
new Examples(byId("examples"), byId<HTMLButtonElement>("try-example"), title, (image, chosen) => {
  sheet.show(image);
  example = chosen;
});

function scoreSoon() {
  clearTimeout(timer);
  const fast = (choice.time(session.model) ?? 0) <= FAST_MS;
  timer = window.setTimeout(() => session.score(sheet.ink()), fast ? PAUSE_MS.fast : PAUSE_MS.slow);
}

function takeAwayAnswer() {
  scores.clear();
  timings.clear();
  clearEvidence();
}

/** Removes everything that comes from a drawing. */
function wipe() {
  clearTimeout(timer);
  example = null;
  takeAwayAnswer();
  status.notice("");
  byId("hint").hidden = false;
  undoButton.disabled = !sheet.undoable;
}

function clear() {
  sheet.clear();
  wipe();
  session.cancel();
}

function undo() {
  if (!sheet.undoable) return;
  sheet.undo();
  wipe();
  session.cancel();
  if (sheet.blank) return status.announce("The sheet is empty.");
  byId("hint").hidden = true;
  scoreSoon();
}

byId("clear").addEventListener("click", clear);
undoButton.addEventListener("click", undo);
addEventListener("keydown", (event) => {
  if (event.key !== "z" || event.shiftKey || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  undo();
});
byId("forget").addEventListener("click", () => {
  clearTimeout(timer);
  mayChange = false;
  keyCard.forgetting();
  session.forget();
});

session.prepare();
