// The head of the screen: which mesh, how its coordinators are, how fast work comes and goes, what is open.
import { createElement as h, type ReactElement } from "react";
import { Box } from "ink";
import stringWidth from "string-width";
import type { EndpointHealth } from "../../../sdk/client/index.ts";
import { harmless } from "../../output/terminal.ts";
import { OPEN_STATES } from "../data/feed.ts";
import { ageText, countText, percentText, rateText, sparkline } from "../draw/figures.ts";
import { line, type Piece, type Tone } from "../draw/words.ts";
import type { View } from "./view.ts";

/** How many lines the header takes. */
export const HEADER_HEIGHT = 3;

const MIN_CURVE = 8;
const MAX_CURVE = 60;

/** Draws the header. */
export function headerView(view: View): ReactElement {
  const { size, snapshot } = view;
  const lines = [meshLine(view), rateLine(view), snapshot.lostSinceMs === undefined ? openLine(view) : lostLine(view)];
  return h(
    Box,
    { flexDirection: "column", width: size.columns, height: HEADER_HEIGHT, overflow: "hidden" },
    ...lines.map((pieces, key) => h(Box, { key, width: size.columns, height: 1, flexShrink: 0 }, line(...pieces))),
  );
}

function meshLine({ snapshot, model, size, clock, refreshMs, windowMs }: View): Piece[] {
  const left: Piece[] = [["title", "mycel top "], ...coordinatorsOf(snapshot.coordinators, size.columns)];
  const filter: Piece[] = model.types.length === 0 ? [] : [["warn", `only ${model.types.join(",")}`], " "];
  const paused: Piece[] = model.paused ? [["warn", "paused"], " "] : [];
  const facts =
    size.columns < 100 ? `every ${refreshMs / 1000}s ` : `every ${refreshMs / 1000}s, last ${ageText(windowMs)} `;
  const right: Piece[] = [...filter, ...paused, ["dim", facts], clock];
  return ends(left, right, size.columns);
}

function coordinatorsOf(coordinators: readonly EndpointHealth[], columns: number): Piece[] {
  const room = Math.max(1, Math.floor((columns - 40) / 30));
  const isWell = ({ status, breaker = "closed" }: EndpointHealth): boolean =>
    status === "serving" && breaker === "closed";
  // Where there is no room for all, those that are not well come first.
  const first =
    coordinators.length <= room ? coordinators : coordinators.toSorted((a, b) => Number(isWell(a)) - Number(isWell(b)));
  const each = first.slice(0, room).flatMap(({ url, status, breaker }): Piece[] => {
    const [mark, tone] = marks(status);
    const word = status === "serving" ? "" : ` ${status.replace("_", " ")}`;
    const guard = breaker === undefined || breaker === "closed" ? "" : `, breaker ${breaker.replace("_", "-")}`;
    return [
      [tone, mark],
      ` ${harmless(url)
        .replace(/^http:\/\//, "")
        .replace(/\/$/, "")}`,
      [tone, `${word}${guard}`],
      "  ",
    ];
  });
  const rest = coordinators.length - Math.min(room, coordinators.length);
  return rest === 0 ? each : [...each, ["dim", `and ${rest} more`]];
}

function marks(status: EndpointHealth["status"]): [mark: string, tone: Tone] {
  if (status === "serving") return ["●", "good"];
  return status === "not_serving" ? ["◐", "warn"] : ["○", "bad"];
}

function rateLine({ snapshot: { pulse, metrics, history }, size }: View): Piece[] {
  if (!pulse.served) return [["dim", "rates are not served by this coordinator"]];
  const now = pulse.value?.total;
  if (now === undefined) return [["dim", pulse.error === undefined ? "…" : `no rates: ${harmless(pulse.error)}`]];
  const share = metrics.value?.total?.successRate;
  const successful: Piece[] =
    share === undefined ? [] : ["   ", [share < 0.95 ? "warn" : "good", percentText(share)], " successful"];
  const words = 54;
  const width = Math.max(MIN_CURVE, Math.min(MAX_CURVE, Math.floor((size.columns - words) / 2)));
  return [
    ["bold", `${rateText(now.submitRate)}/s`.padStart(7)],
    " submitted ",
    [
      "accent",
      sparkline(
        history.map(({ submitted }) => submitted),
        width,
      ),
    ],
    ["bold", `${rateText(now.endRate)}/s`.padStart(9)],
    " ended ",
    [
      "good",
      sparkline(
        history.map(({ ended }) => ended),
        width,
      ),
    ],
    ...successful,
  ];
}

function openLine({ snapshot: { open: told, metrics }, windowMs }: View): Piece[] {
  const { value, error } = told;
  if (value === undefined) return [["dim", error === undefined ? "…" : `no counts: ${harmless(error)}`]];
  const states = OPEN_STATES.flatMap((state): Piece[] => {
    const count = value.byState.get(state) ?? 0;
    if (count === 0) return [];
    return [", ", [state === "backing_off" ? "warn" : "bold", countText(count)], ` ${state.replace("_", " ")}`];
  });
  const open: Piece[] =
    value.total === 0 ? ["no task is open"] : [["bold", countText(value.total)], " open: ", ...states.slice(1)];
  const total = metrics.value?.total;
  const ended: Piece[] = [
    ...counted("bad", Number((total?.failedCount ?? 0n) + (total?.timedOutCount ?? 0n)), "failed"),
    ...counted("warn", Number(total?.retryCount ?? 0n), "retries"),
    ...counted("dim", Number(total?.canceledCount ?? 0n), "canceled"),
  ];
  return ended.length === 0 ? open : [...open, "   ", ["dim", `last ${ageText(windowMs)}:`], ...ended];
}

function counted(tone: Tone, count: number, word: string): Piece[] {
  return count === 0 ? [] : [" ", [tone, countText(count)], ` ${word}`];
}

function lostLine({ snapshot, nowMs }: View): Piece[] {
  const lostMs = nowMs - (snapshot.lostSinceMs ?? nowMs);
  return [["bad", `No coordinator serves (${ageText(lostMs)}).`], " What follows was known before. Trying again…"];
}

/** Pieces at the left and at the right; the left ones are cut where they meet. */
function ends(left: readonly Piece[], right: readonly Piece[], width: number): Piece[] {
  const lengthOf = (pieces: readonly Piece[]): number =>
    pieces.reduce((sum, piece) => sum + stringWidth(textOf(piece)), 0);
  const room = width - lengthOf(right) - 1;
  const kept: Piece[] = [];
  let taken = 0;
  for (const piece of left) {
    const text = textOf(piece).slice(0, Math.max(0, room - taken));
    taken += stringWidth(text);
    kept.push(typeof piece === "string" ? text : [piece[0], text]);
  }
  return [...kept, " ".repeat(Math.max(1, width - taken - lengthOf(right))), ...right];
}

function textOf(piece: Piece): string {
  return typeof piece === "string" ? piece : piece[1];
}
