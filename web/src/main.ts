// Wires the demos to what they share: the session, the key, what the server sees and knows.
import type { Demo, Page } from "./demos/demo";
import { DigitDemo } from "./demos/digit";
import { LoanDemo } from "./demos/loan";
import { byId } from "./dom";
import { LOAN_MODEL } from "./fields";
import type { KeyFacts } from "./messages";
import { KeyCard } from "./panels/key";
import { short } from "./panels/models";
import { Recovery } from "./panels/recovery";
import { ServerKnowledge } from "./panels/server";
import { Status } from "./panels/status";
import { type TabName, Tabs } from "./panels/tabs";
import { Timings } from "./panels/timings";
import { clearEvidence, showEvidence } from "./panels/wire";
import { Session } from "./session";

const status = new Status();
const timings = new Timings();
const keyCard = new KeyCard();
const keys = new Map<string, KeyFacts>();
const titles = new Map<string, string>();
const knowledge = new ServerKnowledge((model) => short(titles.get(model) ?? model));
const tabs = new Tabs(open);

/** Digit model from `?model=`, which the page then keeps. */
const asked = new URLSearchParams(location.search).get("model");

const session = new Session(tabs.open === "loan" ? LOAN_MODEL : asked, {
  state(state) {
    status.state(state);
    if (state !== "error") recovery.quiet();
    if (state === "ready" || state === "answered") recovery.recovered();
  },
  progress(model, phase, fraction) {
    if (model === session.model) status.progress(phase, fraction);
    else digits.warming(model, phase, fraction);
  },
  models(models) {
    for (const { name, title } of models) titles.set(name, title);
    for (const demo of Object.values(demos)) demo.models(models);
    showKey();
  },
  keys(model, facts) {
    keys.set(model, facts);
    knowledge.key(facts);
    if (facts.outdated) {
      status.notice("Your key from an earlier version was deleted: it protected drawings less well than it should have. A new one was made.");
    } else if (facts.uploaded && !facts.generated) {
      status.notice("The server no longer had your public key: it had expired or was removed. A new one was made and uploaded.");
    }
    if (model !== session.model) return;
    showKey();
    current().keyed();
  },
  warmed: (model) => digits.warmed(model),
  cooled: (model) => digits.cooled(model),
  sent: (sent) => knowledge.sent(sent),
  took: (model, ms) => digits.took(model, ms),
  answer(answer) {
    showEvidence(answer);
    timings.show(answer);
    status.say(current().answer(answer));
  },
  blank: () => status.say("There is no ink on the sheet. Draw a digit."),
  forgotten() {
    for (const demo of Object.values(demos)) demo.wipe();
    takeAwayAnswer();
    keys.clear();
    knowledge.forgotten();
    keyCard.forgotten();
    timings.forgetKeys();
    status.notice("");
    status.say("Forgotten: your keys are deleted on the server and here. The next query makes new ones.");
  },
  failed(trouble) {
    // An answer to something else would be misleading.
    if (!session.forgetting) takeAwayAnswer();
    recovery.failed(trouble, session.forgetting ? "Nothing is forgotten yet." : "");
    keyCard.keep();
  },
});

const page: Page = { session, status, keys, use, takeAwayAnswer };
const digits = new DigitDemo(page, asked);
const demos: Record<TabName, Demo> = { digit: digits, loan: new LoanDemo(page) };
const current = () => demos[tabs.open];

const recovery = new Recovery(() => {
  if (session.forgetting) return session.forget();
  const input = current().input();
  if (input) session.score(input);
  else session.prepare();
});

/** Changes to the demo of a tab. */
function open(tab: TabName) {
  for (const demo of Object.values(demos)) if (demo !== demos[tab]) demo.left();
  status.notice("");
  status.words = demos[tab].words;
  use(demos[tab].model);
  demos[tab].opened();
}

function use(model: string | null) {
  session.use(model);
  showKey();
  takeAwayAnswer();
  const input = current().input();
  if (input) session.score(input);
}

/** Shows facts about the key of the model in use. */
function showKey() {
  const facts = session.model === null ? undefined : keys.get(session.model);
  if (facts) {
    keyCard.show(facts);
    timings.keys(facts);
  } else {
    keyCard.none();
    timings.forgetKeys();
  }
}

function takeAwayAnswer() {
  for (const demo of Object.values(demos)) demo.clear();
  timings.clear();
  clearEvidence();
}

byId("forget").addEventListener("click", () => {
  digits.keepModel();
  keyCard.forgetting();
  session.forget();
});

status.words = current().words;
current().opened();
session.prepare();
