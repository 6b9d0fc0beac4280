/** An audit trail: JSON lines, each chained to the one before by its hash. */
export { type AuditEvent, type AuditReport, AuditTrail, verifyAudit } from "./trail.ts";
