/** The HTTP service: tokens and keys for programs on other machines, or of other languages. {@link createService} makes it. */
export { type AuditReport, AuditTrail, verifyAudit } from "./audit.ts";
export { checkConfiguration, readConfiguration, type ServiceConfiguration } from "./configuration.ts";
export { Secrets } from "./secrets.ts";
export { createService, type HttpServiceOptions } from "./service.ts";
