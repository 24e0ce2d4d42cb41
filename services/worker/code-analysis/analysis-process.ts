// The process in which sources are parsed; see analysis-processes.ts, which bounds it.
import { serveWork } from "../bounded-processes/process-work.ts";
import { reportOf } from "./analysis-job.ts";

serveWork(reportOf);
