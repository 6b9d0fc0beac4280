import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { SignOperation } from "../sessions/operation.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { withPrivateKey } from "./key-use.ts";

export function signInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  key: number,
): Promise<void> {
  return application.inSession(handle, (session) => {
    const { operations } = session;
    if (mechanism === null) {
      operations.cancel("sign");
      return;
    }
    return operations.begin("sign", async () => {
      const request = { application, session, use: "sign", mechanism, key } as const;
      const prepared = await withPrivateKey(request, ({ signature }) => signature);
      return new SignOperation(prepared.scheme, prepared.key);
    });
  });
}

export function sign(
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => {
      operations.get("sign").requireWhole();
      return operations.finish("sign", (operation) => {
        requireBytes(data, "the data");
        operation.update(data);
        return operation.final(signal);
      });
    },
    signal,
  );
}

export function signUpdate(application: Application, handle: number, part: Uint8Array): Promise<void> {
  return application.inSession(handle, ({ operations }) =>
    operations.step("sign", (operation) => {
      requireBytes(part, "the part");
      operation.update(part);
    }),
  );
}

export function signFinal(application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => operations.finish("sign", (operation) => operation.final(signal)),
    signal,
  );
}
