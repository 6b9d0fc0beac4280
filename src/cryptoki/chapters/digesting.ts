import type { CallOptions } from "../../async/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import { requireMechanism } from "../mechanisms/availability.ts";
import { hashDigester } from "../mechanisms/operation.ts";
import { readNoParameter } from "../mechanisms/parameters.ts";
import { SessionOperation } from "../sessions/operations.ts";
import type { CK_MECHANISM } from "../mechanisms/declarations.ts";
import type { CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { initialise } from "./key-use.ts";
import { type Chapter, SESSION, MECHANISM, KEY } from "../chapter.ts";

/** Message digesting functions (PKCS#11 3.1 section 5.12). */
export interface DigestFunctions {
  C_DigestInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM | null, options?: CallOptions): Promise<void>;

  C_Digest(session: CK_SESSION_HANDLE, data: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  C_DigestUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, options?: CallOptions): Promise<void>;

  /** The value of a secret key becomes the next part of the message. */
  C_DigestKey(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, options?: CallOptions): Promise<void>;

  C_DigestFinal(session: CK_SESSION_HANDLE, options?: CallOptions): Promise<Uint8Array>;
}

function digestInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  signal?: AbortSignal,
): Promise<void> {
  return initialise({ application, handle, kind: "digest", mechanism, signal }, ({ token }, wanted) => {
    const entry = requireMechanism(token.cardToken, wanted, "digest");
    if (entry.kind !== "digest") throw new CryptokiError(CKR.MECHANISM_INVALID);
    readNoParameter(wanted.parameter);
    return new SessionOperation(hashDigester(entry.hash));
  });
}

function digest(application: Application, handle: number, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) => operations.whole("digest", data, signal), signal);
}

function digestUpdate(application: Application, handle: number, part: Uint8Array, signal?: AbortSignal): Promise<void> {
  return application.inSession(handle, ({ operations }) => operations.update("digest", part), signal);
}

/** The value of a secret key as a part of the message. */
function digestKey(application: Application, handle: number, key: number, signal?: AbortSignal): Promise<void> {
  return application.inSession(
    handle,
    ({ operations, token }) =>
      operations.step("digest", (operation) => {
        const object = application.objects.get(key, token, CKR.KEY_HANDLE_INVALID);
        if (!application.isVisible(object)) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
        if (object.key?.class !== "secret") {
          throw new CryptokiError(object.key ? CKR.KEY_INDIGESTIBLE : CKR.KEY_HANDLE_INVALID);
        }
        operation.begin().update(object.key.value);
      }),
    signal,
  );
}

function digestFinal(application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => operations.finish("digest", ({ stream }) => stream.final()),
    signal,
  );
}

export const DIGESTING: Chapter<DigestFunctions> = {
  title: "Message digesting",
  source: "PKCS#11 3.1 section 5.12",
  functions: {
    C_DigestInit: { state: "software", parameters: [SESSION, MECHANISM], result: "none", body: digestInit },
    C_Digest: { state: "software", parameters: [SESSION, ["pData", "bytes"]], result: "bytes", body: digest },
    C_DigestUpdate: {
      state: "software",
      parameters: [SESSION, ["pPart", "bytes"]],
      result: "none",
      body: digestUpdate,
    },
    C_DigestKey: { state: "software", parameters: [SESSION, KEY], result: "none", body: digestKey },
    C_DigestFinal: { state: "software", parameters: [SESSION], result: "bytes", body: digestFinal },
  },
};
