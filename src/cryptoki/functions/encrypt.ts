import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { EncryptOperation } from "../sessions/operation.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { withPublicKey } from "./key-use.ts";

export function encryptInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  key: number,
): Promise<void> {
  return application.inSession(handle, (session) => {
    const { operations } = session;
    if (mechanism === null) {
      operations.cancel("encrypt");
      return;
    }
    return operations.begin("encrypt", async () => {
      const request = { application, session, use: "encrypt", mechanism, key } as const;
      return new EncryptOperation(await withPublicKey(request, ({ cipher }) => cipher));
    });
  });
}

export function encrypt(application: Application, handle: number, data: Uint8Array): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) => {
    operations.get("encrypt").requireWhole();
    return operations.finish("encrypt", (operation) => {
      requireBytes(data, "the data");
      operation.update(data);
      return operation.final();
    });
  });
}

export function encryptUpdate(application: Application, handle: number, part: Uint8Array): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) =>
    operations.step("encrypt", (operation) => {
      requireBytes(part, "the part");
      operation.update(part);
      return new Uint8Array();
    }),
  );
}

export function encryptFinal(application: Application, handle: number): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) =>
    operations.finish("encrypt", (operation) => operation.final()),
  );
}
