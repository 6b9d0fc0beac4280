/** Loaded into a program (`--import`), it keeps a copy of the last PIN of every login: what the search must find. */
import { Cryptoki } from "../../../src/cryptoki/index.ts";

const kept: { pin?: Uint8Array } = {};
const login = Reflect.get(Cryptoki.prototype, "C_Login");
Cryptoki.prototype.C_Login = function (...args) {
  const [, , pin] = args;
  if (pin instanceof Uint8Array) kept.pin = Uint8Array.from(pin);
  return Reflect.apply(login, this, args);
};
