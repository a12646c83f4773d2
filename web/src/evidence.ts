// What each side sees: the normalised digit here, the bytes on the wire there.
import { byId } from "./dom";
import { bytes } from "./format";
import type { Answer } from "./messages";
import { inkCanvas, showSquare } from "./raster";

const FIGURES = ["normalised-figure", "query-figure", "response-figure"];

export function showEvidence(answer: Answer) {
  inkCanvas(answer.normalized, byId<HTMLCanvasElement>("normalised"));
  showSquare(byId<HTMLCanvasElement>("query"), answer.query);
  showSquare(byId<HTMLCanvasElement>("response"), answer.response);
  byId("query-bytes").textContent = bytes(answer.bytes.query);
  byId("response-bytes").textContent = bytes(answer.bytes.response);
  for (const id of FIGURES) byId(id).removeAttribute("data-empty");
}

export function clearEvidence() {
  for (const id of FIGURES) byId(id).setAttribute("data-empty", "");
  byId("query-bytes").textContent = byId("response-bytes").textContent = "–";
}
