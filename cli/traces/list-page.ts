// Owns the page that lists the latest traces. Renders only; the server decides what it is given.
import { type Html, html } from "./html.ts";
import { SERVICE_COLOUR_COUNT, durationText, pageOf, shortInstant } from "./page.ts";
import type { TraceSummary } from "./trace-book.ts";

/** Renders the list. `endpoint` is where this store takes spans, shown to someone who has sent nothing yet. */
export function listPage(traces: readonly TraceSummary[], endpoint: string): string {
  const content = traces.length === 0 ? emptyList(endpoint) : filledList(traces);
  return pageOf("Mycel traces", html`<strong>Mycel traces</strong>`, content);
}

function emptyList(endpoint: string): Html {
  return html`<div class="empty">
    <h1>No traces yet</h1>
    <p>Start any Mycel process, or any other with OpenTelemetry, with this setting, then load this page again:</p>
    <pre><code>OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=${endpoint}
OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json</code></pre>
  </div>`;
}

function filledList(traces: readonly TraceSummary[]): Html {
  const longestUs = Math.max(1, ...traces.map((trace) => trace.durationUs));
  const services = [...new Set(traces.flatMap((trace) => trace.services))].sort();
  const colours = new Map(services.map((service, index) => [service, `s${index % SERVICE_COLOUR_COUNT}`]));
  return html`<h1>Latest traces</h1>
    <table class="list">
      <thead>
        <tr>
          <th scope="col">Trace</th>
          <th scope="col">Services</th>
          <th scope="col" class="num">Spans</th>
          <th scope="col" class="num">Errors</th>
          <th scope="col" class="num">Duration</th>
          <th scope="col" class="wide"><span class="away">Duration as a bar</span></th>
          <th scope="col" class="num">Started (UTC)</th>
        </tr>
      </thead>
      <tbody>
        ${traces.map((trace) => listRow(trace, colours, longestUs))}
      </tbody>
    </table>`;
}

function listRow(trace: TraceSummary, colours: ReadonlyMap<string, string>, longestUs: number): Html {
  const width = Math.max(1, (100 * trace.durationUs) / longestUs).toFixed(1);
  const names = trace.services.map(
    (service) => html`<span class="service"><span class="dot ${colours.get(service)}"></span>${service}</span>`,
  );
  const partial = trace.complete ? "" : html` <span class="soft">(incomplete)</span>`;
  const errors =
    trace.errorCount === 0 ? html`<span class="soft">0</span>` : html`<b class="bad">${trace.errorCount}</b>`;
  return html`<tr>
    <td class="name"><a href="/traces/${trace.traceId}">${breakable(trace.rootName || "(no name)")}</a>${partial}</td>
    <td>${names}</td>
    <td class="num">${trace.spanCount}</td>
    <td class="num">${errors}</td>
    <td class="num">${durationText(trace.durationUs)}</td>
    <td class="wide">
      <svg aria-hidden="true" class="s0"><rect class="bar" width="${width}%" height="100%" rx="2" /></svg>
    </td>
    <td class="num soft">${shortInstant(trace.startUs)}</td>
  </tr> `;
}

// RPC names are long words; they break best after the service.
function breakable(name: string): Html[] {
  return name.split("/").map((part, index) => (index === 0 ? html`${part}` : html`/<wbr />${part}`));
}
