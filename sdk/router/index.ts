// What users import as `mycel/router`: tasks that run in this process or in the mesh, as rules say. Only re-exports.
export { defaultRules, type DefaultRulesOptions } from "./default-rules.ts";
export type { LoadReader } from "./mesh-load.ts";
export type { RoutedRun } from "./routed-run.ts";
export { createRouter, type RouteOptions, type Router } from "./router.ts";
export type { RoutedClient, RouterOptions } from "./router-options.ts";
export type { Decision, RouteFacts, Rule, RuleCondition, Where } from "./rule.ts";
