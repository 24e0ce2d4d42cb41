// Owns the page of one trace: a waterfall of its spans. Renders only, without script: rows open as native disclosures.
import { type Html, html } from "./html.ts";
import { SERVICE_COLOUR_COUNT, durationText, instant, pageOf } from "./page.ts";
import type { AttributeList, SpanRecord } from "./span-record.ts";
import { type Timeline, type TimelineRow, timelineOf } from "./timeline.ts";
import { type StoredTrace, type TraceSummary, summaryOf } from "./trace-book.ts";

// Deeper rows are indented no further; the style sheet has this many classes.
const MAX_INDENT = 24;
// Narrower than this share of the axis, a wait carries no label: it would cover its neighbours.
const MIN_LABELLED_PERCENT = 14;

/** Renders the waterfall. */
export function tracePage(trace: StoredTrace): string {
  const summary = summaryOf(trace);
  const timeline = timelineOf(trace);
  const colours = new Map(timeline.services.map((name, index) => [name, `s${index % SERVICE_COLOUR_COUNT}`]));
  const title = summary.rootName || "(no name)";
  const content = html`<h1>${title}</h1>
    ${facts(summary, timeline)} ${notes(trace, summary)}
    <svg width="0" height="0" class="away" aria-hidden="true">
      <defs>
        <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <line class="hatch-line" x1="0" y1="0" x2="0" y2="6" />
        </pattern>
      </defs>
    </svg>
    <ul class="legend">
      ${timeline.services.map(
        (service) => html`<li><span class="dot ${colours.get(service)}"></span>${service}</li>`,
      )}${
        timeline.waitUs === 0
          ? []
          : [
              html`<li>
                <svg class="hatch" aria-hidden="true"><rect class="waits" width="100%" height="100%" /></svg>waiting in
                a queue
              </li>`,
            ]
      }
    </ul>
    <div class="fall">
      ${axis(timeline)}
      <ol class="spans">
        ${timeline.rows.map((row, index) =>
          spanRow(row, timeline.rows[index - 1]?.span.service !== row.span.service, timeline, colours),
        )}
      </ol>
    </div>`;
  const trail = html`<strong><a href="/">Mycel traces</a></strong> <span>/</span>
    <code>${trace.traceId.slice(0, 8)}</code>`;
  return pageOf(`${title} · Mycel traces`, trail, content);
}

function facts(summary: TraceSummary, timeline: Timeline): Html {
  const task = timeline.rows
    .flatMap((row) => row.span.attributes)
    .find(([key]) => key === "messaging.message.conversation_id")?.[1];
  const fact = (name: string, value: string | Html): Html =>
    html`<div>
      <dt>${name}</dt>
      <dd>${value}</dd>
    </div>`;
  const errors = summary.errorCount === 0 ? "0" : html`<span class="bad">${summary.errorCount}</span>`;
  return html`<dl class="facts">
    ${[
      fact("Duration", durationText(summary.durationUs)),
      ...(timeline.waitUs === 0 ? [] : [fact("Waiting in queues", durationText(timeline.waitUs))]),
      fact("Spans", String(summary.spanCount)),
      fact("Errors", errors),
      fact("Started", instant(summary.startUs)),
      ...(task === undefined
        ? []
        : [
            html`<div>
              <dt>Task</dt>
              <dd class="id mono">${String(task)}</dd>
            </div>`,
          ]),
      html`<div>
        <dt>Trace id (<a href="/traces/${summary.traceId}.json">JSON</a>)</dt>
        <dd class="id mono">${summary.traceId}</dd>
      </div>`,
    ]}
  </dl>`;
}

function notes(trace: StoredTrace, summary: TraceSummary): Html | undefined {
  if (trace.droppedSpans > 0) {
    return html`<p class="note">${trace.droppedSpans} spans are not shown: a trace holds ${trace.spans.size} here.</p>`;
  }
  if (summary.complete) return undefined;
  return html`<p class="note">
    Some spans have not arrived: their processes may still be running, or send traces elsewhere. Load this page again
    for newer ones.
  </p>`;
}

function axis(timeline: Timeline): Html {
  const ticks = [0, 0.25, 0.5, 0.75].map((share) => {
    const label = share === 0 ? "0" : durationText(Math.round(timeline.durationUs * share));
    return html`<text x="${share * 100}%" y="1.25rem" dx="4">${label}</text>`;
  });
  return html`<div class="row axis" aria-hidden="true">
    <span>Span</span><svg>${ticks}</svg><span class="num">Duration</span>
  </div>`;
}

// A service is written where it changes; repeating it in each row would crowd out the span names.
function spanRow(
  row: TimelineRow,
  newService: boolean,
  timeline: Timeline,
  colours: ReadonlyMap<string, string>,
): Html {
  const { span } = row;
  const colour = colours.get(span.service);
  const error = span.failed ? html`<span class="tag">error</span>` : "";
  return html`<li id="s-${span.spanId}" class="${colour}">
    <details>
      <summary class="row">
        <div class="what">
          <div class="d${Math.min(row.depth, MAX_INDENT)}">
            <svg class="caret" viewBox="0 0 8 8" aria-hidden="true"><path d="M1 0l6 4-6 4z" /></svg
            ><span class="dot"></span
            ><span class="label" title="${span.name}">${span.name || "(no name)"}</span>${error}<span
              class="${newService ? "from" : "away"}"
              >${span.service}</span
            ><span class="away">, level ${row.depth + 1}</span>
          </div>
        </div>
        ${bars(row, timeline)}
        <div class="took num">${durationText(row.durationUs)}</div>
      </summary>
      ${spanDetails(row, timeline)}
    </details>
  </li> `;
}

function bars(row: TimelineRow, timeline: Timeline): Html {
  const wholeUs = Math.max(1, timeline.durationUs);
  const percent = (us: number): string => ((100 * us) / wholeUs).toFixed(3);
  const grid = [25, 50, 75].map((x) => html`<line class="grid" x1="${x}%" x2="${x}%" y1="0" y2="100%" />`);
  const marks = row.span.events.map((event) => {
    const x = percent(Math.min(Math.max(event.atUs - timeline.startUs, 0), wholeUs));
    return html`<line class="mark" x1="${x}%" x2="${x}%" y1="32%" y2="68%" />`;
  });
  return html`<svg role="img" aria-label="${spoken(row)}">
    ${grid}${waitBar(row, percent)}
    <rect
      class="bar${row.span.failed ? " failed" : ""}"
      x="${percent(row.offsetUs)}%"
      y="30%"
      width="${percent(row.durationUs)}%"
      height="40%"
      rx="2"
    />
    ${marks}
  </svg>`;
}

function waitBar(row: TimelineRow, percent: (us: number) => string): Html | undefined {
  const { wait } = row;
  if (wait === undefined) return undefined;
  const width = percent(wait.durationUs);
  const label =
    Number(width) < MIN_LABELLED_PERCENT
      ? ""
      : html`<text x="${percent(wait.offsetUs + wait.durationUs / 2)}%" y="50%" dy=".35em" text-anchor="middle"
          >${durationText(wait.durationUs)} in queue</text
        >`;
  return html`<rect class="waits" x="${percent(wait.offsetUs)}%" y="30%" width="${width}%" height="40%" />${label}`;
}

function spoken(row: TimelineRow): string {
  const waited = row.wait === undefined ? "" : `, after ${durationText(row.wait.durationUs)} in a queue`;
  return `starts at ${durationText(row.offsetUs)}, takes ${durationText(row.durationUs)}${waited}`;
}

function spanDetails(row: TimelineRow, timeline: Timeline): Html {
  const { span } = row;
  const problem = span.statusMessage === undefined ? "" : html`<p class="problem">${span.statusMessage}</p>`;
  const own: AttributeList = [
    ["service", span.instance === undefined ? span.service : `${span.service} (${span.instance})`],
    ["kind", span.role],
    ["starts at", durationText(row.offsetUs)],
    ["span id", span.spanId],
    ...(span.parentId === undefined
      ? []
      : [["parent", row.orphan ? `${span.parentId} (has not arrived)` : span.parentId] as const]),
  ];
  return html`<div class="more">
    ${problem}
    <h2>Span</h2>
    ${pairs(own)}${
      span.attributes.length === 0
        ? ""
        : html`<h2>Attributes</h2>
            ${pairs(span.attributes)}`
    }${events(span, timeline)}${links(span)}
  </div>`;
}

function events(span: SpanRecord, timeline: Timeline): Html | undefined {
  if (span.events.length === 0) return undefined;
  return html`<h2>Events</h2>
    ${span.events.map(
      (event) =>
        html`<div>
            ${event.name} <span class="soft">at ${durationText(Math.max(0, event.atUs - timeline.startUs))}</span>
          </div>
          ${event.attributes.length === 0 ? "" : pairs(event.attributes)}`,
    )}`;
}

function links(span: SpanRecord): Html | undefined {
  if (span.links.length === 0) return undefined;
  return html`<h2>Links</h2>
    ${span.links.map((link) => {
      const href = link.traceId === span.traceId ? `#s-${link.spanId}` : `/traces/${link.traceId}#s-${link.spanId}`;
      const where = link.traceId === span.traceId ? "this trace" : `trace ${link.traceId}`;
      return html`<div><a class="mono" href="${href}">${link.spanId}</a> <span class="soft">in ${where}</span></div>
        ${link.attributes.length === 0 ? "" : pairs(link.attributes)}`;
    })}`;
}

function pairs(list: AttributeList): Html {
  return html`<dl class="pairs mono">
    ${list.map(
      ([key, value]) =>
        html`<dt>${key}</dt>
          <dd>${String(value)}</dd>`,
    )}
  </dl>`;
}
