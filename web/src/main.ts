import { byId } from "./dom";
import { DrawingSheet } from "./drawing";
import { clearEvidence, showEvidence } from "./evidence";
import { Examples } from "./examples";
import { percent } from "./format";
import { KeyCard } from "./keycard";
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

const session = new Session({
  state: (state) => status.state(state),
  progress: (phase, fraction) => status.progress(phase, fraction),
  model({ labels, accuracy }) {
    scores.label(labels);
    const line = byId("accuracy");
    line.hidden = accuracy === null;
    if (accuracy !== null) {
      line.textContent = `The model reads ${percent(accuracy)} of MNIST’s test digits correctly, so it will misread some of yours.`;
    }
  },
  keys(keys) {
    keyCard.show(keys);
    timings.keys(keys);
  },
  answer(answer) {
    scores.show(answer);
    showEvidence(answer);
    timings.show(answer);
    status.answer(answer);
  },
  blank: () => status.say("There is no ink on the sheet. Draw a digit."),
  forgotten() {
    wipe();
    keyCard.forgotten();
    timings.forgetKeys();
    status.say("Forgotten: your key is deleted on the server and here. Draw to make a new one.");
  },
  failed(trouble) {
    status.failed(trouble);
    keyCard.keep();
  },
});

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
