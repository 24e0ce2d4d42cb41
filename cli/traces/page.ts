// Owns what all pages share: the frame, the style sheet and the policy that lets nothing else run or load.
import { createHash } from "node:crypto";
import { Html, html } from "./html.ts";

const DEPTHS = Array.from({ length: 25 }, (_, depth) => `.d${depth}{padding-inline-start:${depth * 0.9}rem}`).join("");

// Colours that stay apart for colour-blind readers and keep 3:1 against the background, light and dark.
const SERVICE_COLOURS = [
  ["#2563c9", "#6ea8fe"],
  ["#b4560b", "#f2a65a"],
  ["#0f7b6c", "#4fc7b4"],
  ["#8a3fb8", "#c796ec"],
  ["#8a6d00", "#d9be4a"],
  ["#b0306a", "#f08ab7"],
  ["#4a6b1d", "#a3cc62"],
  ["#56617a", "#a6b1c9"],
];
const SERVICES = SERVICE_COLOURS.map(
  ([light, dark], index) => `.s${index}{--service:light-dark(${light},${dark})}`,
).join("");

/** How many classes `s0…` there are; further services share them. */
export const SERVICE_COLOUR_COUNT: number = SERVICE_COLOURS.length;

const STYLE = `
:root{color-scheme:light dark;--ground:light-dark(#fff,#14171c);--raised:light-dark(#f6f7f9,#1b1f26);--line:light-dark(#dfe3e8,#2c323c);--faint:light-dark(#eceff2,#232932);
--ink:light-dark(#1a1f27,#e4e8ee);--soft:light-dark(#5a6472,#9aa5b4);--link:light-dark(#1d55b0,#8ab8ff);--bad:light-dark(#c2202b,#ff7b7b);--bad-ground:light-dark(#fdecec,#3a1d20);--wait:light-dark(#98a2b0,#7d899b)}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:14px/1.45 system-ui,-apple-system,"Segoe UI","Liberation Sans",sans-serif}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--link);outline-offset:1px;border-radius:2px}
.top{display:flex;gap:.6rem;align-items:baseline;padding:.6rem 1.5rem;border-bottom:1px solid var(--line);background:var(--raised)}
.top strong{font-weight:650;letter-spacing:.01em}.top span{color:var(--soft)}
main{padding:1.25rem 1.5rem 3rem;max-width:110rem;margin:0 auto}
h1{font-size:1.3rem;line-height:1.3;font-weight:620;margin:0 0 .75rem;overflow-wrap:anywhere}
h2{font-size:.75rem;font-weight:600;color:var(--soft);margin:.9rem 0 .3rem}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86em}
.soft{color:var(--soft)}.num{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}
.bad{color:var(--bad)}
.away{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.dot{display:inline-block;width:.6rem;height:.6rem;border-radius:2px;background:var(--service);flex:none}
.facts{display:flex;flex-wrap:wrap;gap:.6rem 2rem;margin:0 0 1.1rem}
.facts div{min-width:0}.facts dt{font-size:.75rem;color:var(--soft)}.facts dd{margin:0;font-weight:550;font-variant-numeric:tabular-nums}
.facts .id{font-weight:400;overflow-wrap:anywhere;user-select:all}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;margin:0 0 .8rem;padding:0;list-style:none}
.legend li{display:flex;gap:.4rem;align-items:center}
.hatch{width:1.3rem;height:.6rem}
.note{background:var(--raised);border:1px solid var(--line);border-radius:6px;padding:.6rem .9rem;margin:0 0 1rem}
.list{width:100%;border-collapse:collapse;border:1px solid var(--line)}
.list th{font-size:.75rem;font-weight:600;color:var(--soft);text-align:start;background:var(--raised)}
.list th.num{text-align:end}
.list th,.list td{padding:.5rem .75rem;border-bottom:1px solid var(--line);vertical-align:middle}
.list tbody tr:hover{background:var(--raised)}
.list .name{overflow-wrap:anywhere;min-width:12rem;width:40%}
.list .service{display:inline-flex;white-space:nowrap;gap:.4rem;align-items:center;margin-inline-end:.9rem}
.list svg{width:7rem;height:.5rem;display:block}
.empty{max-width:46rem}.empty pre{background:var(--raised);border:1px solid var(--line);border-radius:6px;padding:.8rem 1rem;overflow-x:auto}
.fall{border:1px solid var(--line);border-radius:6px;overflow:clip}
.row{display:grid;grid-template-columns:minmax(15rem,36%) minmax(0,1fr) 5.6rem;align-items:center}
.axis{position:sticky;top:0;z-index:1;background:var(--raised);border-bottom:1px solid var(--line);font-size:.75rem;color:var(--soft)}
.axis>*{padding:.4rem .75rem}.axis svg{padding:0;width:100%;height:1.9rem;display:block;overflow:visible}
.axis text{fill:var(--soft);font-size:.72rem;font-variant-numeric:tabular-nums}
.spans{list-style:none;margin:0;padding:0}
.spans>li{border-bottom:1px solid var(--faint);content-visibility:auto;contain-intrinsic-size:auto 2.1rem}
.spans>li:last-child{border-bottom:0}
.spans>li:target{background:light-dark(#fff7d6,#3a3517)}
summary{cursor:pointer;list-style:none;min-height:2.1rem}summary::-webkit-details-marker{display:none}
summary:hover{background:var(--raised)}details[open]>summary{background:var(--raised)}
summary:focus-visible{outline-offset:-2px}
.what{padding:.25rem .75rem;min-width:0}
.what>div{display:flex;gap:.45rem;align-items:center;min-width:0}
.what .label{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.what .from{color:var(--soft);font-size:.78rem;white-space:nowrap;flex:0 2 auto;overflow:hidden;text-overflow:ellipsis;min-width:3rem}
.caret{width:.5rem;height:.5rem;flex:none;fill:var(--soft)}details[open]>summary .caret{rotate:90deg}
.row>svg{width:100%;height:2.1rem;display:block;border-inline:1px solid var(--faint)}
.grid{stroke:var(--faint);stroke-width:1}.bar{fill:var(--service);stroke:var(--service);stroke-width:1}.bar.failed{fill:var(--bad);stroke:var(--bad)}
.waits{fill:url(#hatch)}.hatch-line{stroke:var(--wait);stroke-width:1.5}
.mark{stroke:var(--ground);stroke-width:1.5}
.row:not(.axis) text{fill:var(--ink);font-size:.72rem;paint-order:stroke;stroke:var(--ground);stroke-width:7px;stroke-linejoin:round}
.took{padding:.25rem .75rem}
.more{padding:.2rem 1.25rem 1rem 2.2rem;background:var(--raised);border-top:1px solid var(--faint)}
.pairs{display:grid;grid-template-columns:minmax(10rem,max-content) minmax(0,1fr);gap:.15rem 1.5rem;margin:0}
.pairs dt{color:var(--soft)}.pairs dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.problem{background:var(--bad-ground);color:var(--bad);border-radius:4px;padding:.35rem .6rem;margin:.7rem 0 0;overflow-wrap:anywhere}
.tag{font-size:.72rem;border-radius:3px;padding:0 .35rem;background:var(--bad-ground);color:var(--bad);white-space:nowrap}
@media (max-width:62rem){.list .wide{display:none}}
@media (max-width:50rem){main{padding:1rem .75rem 2rem}.row{grid-template-columns:minmax(11rem,42%) minmax(0,1fr) 4.8rem}.list td.soft,.list th:last-child{display:none}}
@media print{.spans>li{content-visibility:visible}}
${DEPTHS}${SERVICES}`;

/**
 * Value of the Content-Security-Policy header of every page: no script, no load from anywhere, and only this very style
 * sheet. Should a hole in the escaping ever be found, it could still run nothing.
 */
export const CONTENT_SECURITY_POLICY: string = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Wraps a page's content into a whole document. */
export function pageOf(title: string, trail: Html, content: Html): string {
  const style = new Html(`<style>${STYLE}</style>`);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        ${style}
      </head>
      <body>
        <header class="top">${trail}</header>
        <main>${content}</main>
      </body>
    </html> `.toString();
}

/** A duration for people: three significant digits, unit by size. */
export function durationText(us: number): string {
  if (us < 1000) return `${us} µs`;
  if (us < 1_000_000) return `${digits(us / 1000)} ms`;
  if (us < 60_000_000) return `${digits(us / 1_000_000)} s`;
  const seconds = Math.round(us / 1_000_000);
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** An instant as a `time` element in UTC, to the millisecond. */
export function instant(us: number): Html {
  const iso = isoOf(us);
  return html`<time datetime="${iso}">${iso.replace("T", " ").replace("Z", " UTC")}</time>`;
}

/** An instant as a `time` element in UTC, to the second and without naming the zone: for columns that do. */
export function shortInstant(us: number): Html {
  const iso = isoOf(us);
  return html`<time datetime="${iso}">${iso.replace("T", " ").replace(/\.\d+Z$/, "")}</time>`;
}

function isoOf(us: number): string {
  // The edge of what a Date can hold; a span that claims more is shown at that edge.
  return new Date(Math.min(us / 1000, 8.64e15)).toISOString();
}

function digits(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}
