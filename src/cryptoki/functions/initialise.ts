import { untilAborted } from "../../async/index.ts";
import type { Application } from "../application.ts";
import { cancelled } from "../error-map.ts";
import type { OperationKind, OperationTypes } from "../sessions/operations.ts";
import type { Session } from "../sessions/session.ts";
import type { CK_MECHANISM } from "../structures.ts";
import type { KeyRequest, KeyUse } from "./key-use.ts";

/** What every C_...Init takes. */
interface InitRequest<Kind extends OperationKind> {
  readonly application: Application;
  readonly handle: number;
  readonly kind: Kind;
  /** Null ends what is active (PKCS#11 3.1, each ...Init function). */
  readonly mechanism: CK_MECHANISM | null;
  /** The handle of its key. */
  readonly key?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Begins an operation that `make` makes, or ends the one that is under way. What is read of the key for it can be cancelled. */
export function initialise<Kind extends OperationKind>(
  { application, handle, kind, mechanism, key, signal }: InitRequest<Kind>,
  make: (session: Session, mechanism: CK_MECHANISM) => OperationTypes[Kind] | Promise<OperationTypes[Kind]>,
): Promise<void> {
  return application.inSession(
    handle,
    (session) => {
      const { operations } = session;
      if (mechanism === null) {
        operations.cancel(kind);
        return;
      }
      const made = (): Promise<OperationTypes[Kind]> =>
        untilAborted(Promise.resolve(make(session, mechanism)), signal, cancelled);
      return operations.begin(kind, made, key);
    },
    signal,
  );
}

/** A C_...Init with a key: `make` makes its operation of a key that is fit for `use`. */
export const keyedInit =
  <Kind extends OperationKind, Use extends KeyUse>(
    kind: Kind,
    use: Use,
    make: (request: KeyRequest<Use>) => Promise<OperationTypes[Kind]>,
  ) =>
  (
    application: Application,
    handle: number,
    mechanism: CK_MECHANISM | null,
    key: number,
    signal?: AbortSignal,
  ): Promise<void> =>
    initialise({ application, handle, kind, mechanism, key, signal }, (session, wanted) =>
      make({ application, session, use, mechanism: wanted, key }),
    );
