import { findTlv, readTlvs, SW } from "../../../apdu/index.ts";
import { ByteReader } from "../../../bytes/index.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import type { KeyFile } from "../file.ts";
import { requireAccess } from "../rights.ts";
import type { SecurityEnvironment } from "../session.ts";
import type { IsoContext } from "../make.ts";

/** Control reference templates (ISO/IEC 7816-4 section 10.3.1, table 54). */
export const TEMPLATE = { AUTHENTICATION: 0xa4, SIGNATURE: 0xb6, CONFIDENTIALITY: 0xb8 } as const;
const TEMPLATES: readonly number[] = Object.values(TEMPLATE);
/** P1: SET for computation, decipherment and authentication (4), for verification and encipherment (8), for both. */
const SET: readonly number[] = [0x41, 0x81, 0xc1];
const RESTORE = 0xf3;

/**
 * MANAGE SECURITY ENVIRONMENT (section 11.5.11): SET names algorithm (80) and key file (81); RESTORE goes back to the empty
 * environment, the only one that is stored.
 */
export function manageSecurityEnvironment(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const { session } = context;
  if (p1 === RESTORE) {
    if (p2 > 1) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
    session.environment = undefined;
    return new Uint8Array();
  }
  if (!SET.includes(p1) || !TEMPLATES.includes(p2)) throw new Refusal(SW.INCORRECT_P1_P2);
  const fields = readTlvs(data, "control reference template");
  const file = findTlv(fields, 0x81);
  const key = file?.length === 2 ? new ByteReader(file).u16() : session.file?.id;
  const [algorithm = 0] = findTlv(fields, 0x80) ?? [];
  if (key === undefined || !findKey(context, key)) throw new Refusal(SW.REFERENCED_DATA_NOT_FOUND);
  session.environment = { template: p2, algorithm, key };
  session.half = undefined;
  return new Uint8Array();
}

/**
 * The key that the environment names, for an operation of its template.
 * @throws {Refusal} 6985 if there is none; 6982 if the key's rules do not allow it now.
 */
export function chosenKey(
  context: IsoContext,
  template: number,
): { readonly environment: SecurityEnvironment; readonly file: KeyFile } {
  const { environment, fresh } = context.session;
  const file = environment && findKey(context, environment.key);
  if (environment?.template !== template || !file) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  requireAccess(context, file, "use");
  const { use } = context.make.rules(file);
  // One VERIFY, one use.
  if (file.consent && typeof use === "number" && !fresh.delete(use)) {
    throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
  }
  return { environment, file };
}

/** A key file in the current directory or one above it. */
function findKey({ session }: IsoContext, id: number): KeyFile | undefined {
  for (const df of session.path.toReversed()) {
    for (const file of df.files) if (file.kind === "key" && file.id === id) return file;
  }
  return undefined;
}
