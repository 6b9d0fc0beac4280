import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { Operation } from "../sessions/operation.ts";
import type { Session } from "../sessions/session.ts";
import type { Token } from "../slots/token.ts";
import type { OperationKind } from "../sessions/operations.ts";

/** What has a state that might be saved (PKCS#11 3.1 section 5.6.6): a search has none, nor have messages. */
const SAVABLE: ReadonlySet<OperationKind> = new Set(["encrypt", "decrypt", "digest", "sign", "verify"]);

export function getOperationState(application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(
    handle,
    (session) => {
      const { operations } = session;
      const kinds = operations.active.filter((kind) => SAVABLE.has(kind));
      if (kinds.length === 0) throw new CryptokiError(CKR.OPERATION_NOT_INITIALIZED);
      if (kinds.some((kind) => kind !== "digest")) {
        throw new CryptokiError(CKR.STATE_UNSAVEABLE, "only a digest by itself can be saved");
      }
      return application.savedStates.save(operations.get("digest").stream, placeOf(application, session));
    },
    signal,
  );
}

/** A digest has no keys: both handles must be 0. */
export function setOperationState(
  application: Application,
  handle: number,
  state: Uint8Array,
  encryptionKey: number,
  authenticationKey: number,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    async (session) => {
      requireBytes(state, "the state");
      const { operations } = session;
      const digester = application.savedStates.restore(state, placeOf(application, session));
      if (encryptionKey !== 0 || authenticationKey !== 0) {
        throw new CryptokiError(CKR.KEY_NOT_NEEDED, "a digest has no key; give 0");
      }
      const operation = new Operation(digester);
      operation.begin();
      // "The ongoing operations are abruptly cancelled", a search too.
      operations.cancelAll();
      await operations.begin("digest", () => operation);
    },
    signal,
  );
}

const placeOf = ({ logins }: Application, session: Session): { readonly token: Token; readonly state: number } => ({
  token: session.token,
  state: session.state(logins.userOf(session.token)),
});
