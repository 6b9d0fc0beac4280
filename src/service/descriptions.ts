import { type TSchema, Type } from "typebox";
import type { Role } from "./configuration.ts";
import { ProblemSchema } from "./schemas.ts";

export const OCTETS = "application/octet-stream";
/** Any bytes: an OpenAPI document has no schema for them. */
export const octets = Type.Unsafe<Uint8Array>({});

interface Headers {
  /** Whether the request may be repeated under an Idempotency-Key: it may, or it must have one. */
  readonly repeats?: true | "required";
}

/** What the OpenAPI document says of an operation, beside its schemas. */
export function described(operationId: string, summary: string, role: Role, { repeats }: Headers = {}): object {
  const key = Type.String({
    minLength: 8,
    maxLength: 64,
    description: "Names the request: a repeat gets the first answer",
  });
  return {
    operationId,
    summary,
    description: `For clients with the role \`${role}\`.`,
    headers: Type.Object({
      ...(repeats && { "idempotency-key": repeats === "required" ? key : Type.Optional(key) }),
      prefer: Type.Optional(Type.String({ description: "wait=10: seconds that the request may take" })),
    }),
  };
}

/** The answers of an operation: what it gives, and problems. */
export function answers(ok: TSchema | undefined, status = ok ? 200 : 204): Readonly<Record<string, object>> {
  return {
    [status]: ok ?? { type: "null", description: "Done" },
    default: { description: "Refused", content: { "application/problem+json": { schema: ProblemSchema } } },
  };
}
