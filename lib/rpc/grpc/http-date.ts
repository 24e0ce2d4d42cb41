// The date as HTTP has it. It changes once a second, and every answer has it.

let secondMs = 0;
let text = "";

/** Now, by the clock of this machine, e.g. `Sat, 21 Nov 2026 14:55:42 GMT`. */
export function httpDate(): string {
  const nowMs = Date.now();
  if (nowMs < secondMs || nowMs >= secondMs + 1_000) {
    secondMs = Math.floor(nowMs / 1_000) * 1_000;
    text = new Date(secondMs).toUTCString();
  }
  return text;
}
