// Data that each side sees: the normalised digit here, the bytes on the wire there.
import { byId } from "../dom";
import { bytes, duration, hex } from "../format";
import type { Answer } from "../messages";
import { inkCanvas, showSquare } from "../raster";

const FIGURES = ["normalised-figure", "query-figure", "response-figure"];
/** Size of the header of a query, and of what is shown of the ciphertext after it. */
const HEADER = 84;
const EXCERPT = 48;
const TEXTS = ["query-bytes", "query-time", "query-hex", "response-bytes", "response-time", "decrypt-time"];

export function showEvidence(answer: Answer) {
  if (answer.normalized) inkCanvas(answer.normalized, byId<HTMLCanvasElement>("normalised"));
  showSquare(byId<HTMLCanvasElement>("query"), answer.query);
  showSquare(byId<HTMLCanvasElement>("response"), answer.response);
  const { encryptMs, serverMs, decryptMs } = answer.timings;
  const texts = {
    "query-bytes": bytes(answer.bytes.query),
    "query-time": `encrypted in ${duration(encryptMs)}`,
    "query-hex": hex(answer.query.subarray(HEADER, HEADER + EXCERPT)),
    "response-bytes": bytes(answer.bytes.response),
    "response-time": serverMs === null ? "" : `scored in ${duration(serverMs)}`,
    "decrypt-time": `decrypted in ${duration(decryptMs)}`,
  };
  for (const [id, text] of Object.entries(texts)) byId(id).textContent = text;
  for (const id of FIGURES) byId(id).removeAttribute("data-empty");
}

export function clearEvidence() {
  for (const id of FIGURES) byId(id).setAttribute("data-empty", "");
  for (const id of TEXTS) byId(id).textContent = id.endsWith("bytes") ? "–" : "";
}
