import { expect, test } from "@jest/globals";
import { takeSecrets } from "../../src/cli/session.ts";

test("PINs and PUKs are taken out of the environment, and the program has them still", () => {
  const secrets = { CRYPTOKI_PIN: "1", CRYPTOKI_NEW_PIN: "2", CRYPTOKI_PUK: "3", CRYPTOKI_SO_PIN: "4" };
  const named = { A: "5", B: "6", C: "7", D: "8" };
  const others = { PATH: "/bin", CRYPTOKI_DEBUG: "1" };
  const env: NodeJS.ProcessEnv = { ...secrets, ...named, ...others };
  const uris = ["pkcs11:token=x?pin-source=env:C&module-name=y", "pkcs11:?pin-source=env%3AD"];
  const taken = takeSecrets(env, ["objects", "--pin-source", "env:A", "--puk-source=env:B", ...uris]);
  expect(env).toEqual(others);
  expect(taken).toEqual({ ...secrets, ...named, ...others });
});
