import { byId } from "./dom";
import { DrawingSheet } from "./drawing";
import { clearEvidence, showEvidence } from "./evidence";
import { Examples } from "./examples";
import { percent } from "./format";
import { KeyCard } from "./keycard";
import type { KeyFacts } from "./messages";
import { ModelChoice, short } from "./models";
import { KeyboardPen } from "./pen";
import { Scores } from "./scores";
import { Session } from "./session";
import { Status } from "./status";
import { Timings } from "./timings";

/** Time after the last stroke before the drawing is scored. */
const PAUSE_MS = 250;

const status = new Status();
const scores = new Scores([..."0123456789"]);
const timings = new Timings();
const keyCard = new KeyCard();
const keys = new Map<string, KeyFacts>();

/** `?model=` names a model, which the page then stays with. */
const asked = new URLSearchParams(location.search).get("model");
let mayChange = asked === null;

const session = new Session(asked, {
  state: (state) => status.state(state),
  progress(model, phase, fraction) {
    if (model === session.model) status.progress(phase, fraction);
    else choice.progress(model, phase, fraction);
  },
  models(models) {
    choice.show(models, session.model);
    showModel();
  },
  keys(model, facts) {
    keys.set(model, facts);
    choice.note(model);
    if (model === session.model) showModel();
    if (mayChange && model === session.model) prepareBetter();
  },
  warmed(model) {
    choice.note(model);
    if (!mayChange) return;
    mayChange = false;
    choice.select(model);
    use(model);
    status.announce(`${short(choice.of(model)?.title ?? model)}: ready, and in use now.`);
  },
  cooled: (model) => choice.note(model),
  answer(answer) {
    scores.show(answer);
    showEvidence(answer);
    timings.show(answer);
    status.answer(answer);
  },
  blank: () => status.say("There is no ink on the sheet. Draw a digit."),
  forgotten() {
    wipe();
    keys.clear();
    keyCard.forgotten();
    timings.forgetKeys();
    status.say("Forgotten: your key is deleted on the server and here. Draw to make a new one.");
  },
  failed(trouble) {
    status.failed(trouble);
    keyCard.keep();
  },
});

const choice = new ModelChoice((model) => {
  mayChange = false;
  use(model);
});

/** Goes on with another model: with the drawing that is there, if there is one. */
function use(model: string) {
  session.use(model);
  showModel();
  scores.clear();
  timings.clear();
  clearEvidence();
  if (!sheet.blank) session.score(sheet.ink());
}

/** What the page says about the model in use and its key. */
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

/** Prepares the best model in the background, unless that would cost a visitor who pays by the byte. */
function prepareBetter() {
  const better = choice.better(session.model);
  const { connection } = navigator as Navigator & { connection?: { saveData?: boolean } };
  if (!better || keys.has(better.name) || connection?.saveData) return;
  choice.note(better.name, "making its key");
  session.warm(better.name);
}

let timer = 0;
const canvas = byId<HTMLCanvasElement>("drawing");
const sheet = new DrawingSheet(canvas, {
  started() {
    clearTimeout(timer);
    byId("hint").hidden = true;
    session.cancel();
  },
  finished() {
    clearTimeout(timer);
    timer = window.setTimeout(() => session.score(sheet.ink()), PAUSE_MS);
  },
});
new KeyboardPen(canvas, byId("pen"), sheet, clear);
new Examples(byId("examples"), byId<HTMLButtonElement>("try-example"), (image) => sheet.show(image));

/** Takes away everything that comes from a drawing. */
function wipe() {
  clearTimeout(timer);
  sheet.clear();
  scores.clear();
  timings.clear();
  clearEvidence();
  byId("hint").hidden = false;
}

function clear() {
  wipe();
  session.cancel();
}

byId("clear").addEventListener("click", clear);
byId("retry").addEventListener("click", () => {
  if (sheet.blank) session.prepare();
  else session.score(sheet.ink());
});
byId("forget").addEventListener("click", () => {
  clearTimeout(timer);
  keyCard.forgetting();
  session.forget();
});

session.prepare();
