import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { VerifyOperation } from "../sessions/operation.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { withPublicKey } from "./key-use.ts";

export function verifyInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  key: number,
): Promise<void> {
  return application.inSession(handle, (session) => {
    const { operations } = session;
    if (mechanism === null) {
      operations.cancel("verify");
      return;
    }
    return operations.begin("verify", async () => {
      const request = { application, session, use: "verify", mechanism, key } as const;
      return new VerifyOperation(await withPublicKey(request, ({ signature }) => signature));
    });
  });
}

export function verify(
  application: Application,
  handle: number,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<void> {
  return application.inSession(handle, ({ operations }) => {
    operations.get("verify").requireWhole();
    return operations.finish("verify", (operation) => {
      requireBytes(data, "the data");
      requireBytes(signature, "the signature");
      operation.update(data);
      operation.final(signature);
    });
  });
}

export function verifyUpdate(application: Application, handle: number, part: Uint8Array): Promise<void> {
  return application.inSession(handle, ({ operations }) =>
    operations.step("verify", (operation) => {
      requireBytes(part, "the part");
      operation.update(part);
    }),
  );
}

export function verifyFinal(application: Application, handle: number, signature: Uint8Array): Promise<void> {
  return application.inSession(handle, ({ operations }) =>
    operations.finish("verify", (operation) => {
      requireBytes(signature, "the signature");
      operation.final(signature);
    }),
  );
}
