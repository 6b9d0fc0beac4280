import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { DecryptOperation } from "../sessions/operation.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { withPrivateKey } from "./key-use.ts";

export function decryptInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  key: number,
): Promise<void> {
  return application.inSession(handle, (session) => {
    const { operations } = session;
    if (mechanism === null) {
      operations.cancel("decrypt");
      return;
    }
    return operations.begin("decrypt", async () => {
      const request = { application, session, use: "decrypt", mechanism, key } as const;
      const prepared = await withPrivateKey(request, ({ cipher }) => cipher);
      return new DecryptOperation(prepared.scheme, prepared.key);
    });
  });
}

export function decrypt(
  application: Application,
  handle: number,
  ciphertext: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => {
      operations.get("decrypt").requireWhole();
      return operations.finish("decrypt", (operation) => {
        requireBytes(ciphertext, "the ciphertext");
        operation.update(ciphertext);
        return operation.final(signal);
      });
    },
    signal,
  );
}

export function decryptUpdate(application: Application, handle: number, part: Uint8Array): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) =>
    operations.step("decrypt", (operation) => {
      requireBytes(part, "the part");
      operation.update(part);
      return new Uint8Array();
    }),
  );
}

export function decryptFinal(application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => operations.finish("decrypt", (operation) => operation.final(signal)),
    signal,
  );
}
