import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { requireMechanism } from "../mechanisms/offer.ts";
import { readNoParameter } from "../mechanisms/parameters.ts";
import { DigestOperation } from "../sessions/operation.ts";
import type { CK_MECHANISM } from "../structures.ts";

export function digestInit(application: Application, handle: number, mechanism: CK_MECHANISM | null): Promise<void> {
  return application.inSession(handle, ({ operations, token }) => {
    if (mechanism === null) {
      operations.cancel("digest");
      return;
    }
    return operations.begin("digest", () => {
      const { hash } = requireMechanism(token.cardToken, mechanism, "digest");
      if (!hash) throw new CryptokiError(CKR.MECHANISM_INVALID);
      readNoParameter(mechanism.parameter);
      return new DigestOperation(hash);
    });
  });
}

export function digest(application: Application, handle: number, data: Uint8Array): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) => {
    operations.get("digest").requireWhole();
    return operations.finish("digest", (operation) => {
      requireBytes(data, "the data");
      operation.update(data);
      return operation.final();
    });
  });
}

export function digestUpdate(application: Application, handle: number, part: Uint8Array): Promise<void> {
  return application.inSession(handle, ({ operations }) =>
    operations.step("digest", (operation) => {
      requireBytes(part, "the part");
      operation.update(part);
    }),
  );
}

export function digestFinal(application: Application, handle: number): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) =>
    operations.finish("digest", (operation) => operation.final()),
  );
}
