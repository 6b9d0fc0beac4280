import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import type { CryptoEngine } from "../engines.ts";
import { CryptokiError } from "../error.ts";

export function addEngine(application: Application, mechanism: number | null, engine: CryptoEngine | null): void {
  if (mechanism !== null && (!Number.isInteger(mechanism) || mechanism < 0)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "an engine is for a mechanism (CKM), or for random numbers (null)");
  }
  const given: unknown = engine;
  if (given !== null && (typeof given !== "object" || !("name" in given))) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "an engine is an object with a name and the functions that it has");
  }
  application.engines.set(mechanism, engine ?? undefined);
}
