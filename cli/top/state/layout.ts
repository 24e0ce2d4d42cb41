// Decides which panels the overview shows, and how large each is. Pure.
import { type PanelName, PANELS } from "./model.ts";

/** A terminal's size. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Where a panel is. */
export interface Place {
  readonly name: PanelName;
  readonly width: number;
  readonly height: number;
}

/** The overview: columns of panels. */
export interface Layout {
  readonly framed: boolean;
  readonly columns: readonly (readonly Place[])[];
}

/** The smallest terminal on which anything can be read. */
export const SMALLEST: Size = { columns: 40, rows: 10 };

const WIDE = 150;
const FRAMES_FROM_ROWS = 30;
// A title, a head and a row.
const LEAST_HEIGHT = 3;
const FRAME = 1;

/** Lays the panels out in a room; `wants` says how many rows each could show. */
export function layOut(room: Size, wants: Readonly<Record<PanelName, number>>, focused: PanelName): Layout {
  const framed = room.rows >= FRAMES_FROM_ROWS;
  const least = LEAST_HEIGHT + (framed ? FRAME : 0);
  const columns: readonly (readonly PanelName[])[] =
    room.columns >= WIDE
      ? [
          ["agents", "queues"],
          ["latency", "failures"],
        ]
      : [room.rows < PANELS.length * LEAST_HEIGHT ? [focused] : PANELS];
  const half = Math.floor(room.columns / 2);
  return {
    framed,
    columns: columns.map((names, at) => {
      const width = columns.length === 1 ? room.columns : at === 0 ? half : room.columns - half;
      // The head and the frame stand around the rows.
      const heights = share(
        room.rows,
        names.map((name) => wants[name] + least - 1),
        least,
        names.indexOf(focused),
      );
      return names.map((name, index) => ({ name, width, height: heights[index] ?? 0 }));
    }),
  };
}

/** Shares lines out: each gets the least, the focused one then twice as much of the rest as others, and nobody more than it wants. */
function share(lines: number, wants: readonly number[], least: number, focused: number): number[] {
  const shares = wants.map(() => least);
  let left = lines - least * wants.length;
  for (; left > 0; left -= 1) {
    let next = -1;
    let lowest = Infinity;
    for (const [at, want] of wants.entries()) {
      const has = shares[at] ?? 0;
      if (has >= want) continue;
      const filled = has / (at === focused ? 2 : 1);
      if (filled < lowest) [next, lowest] = [at, filled];
    }
    if (next < 0) break;
    shares[next] = (shares[next] ?? 0) + 1;
  }
  // What nobody wants keeps the screen filled to its foot.
  shares[shares.length - 1] = (shares.at(-1) ?? 0) + left;
  return shares;
}
