import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Cryptoki } from "../../src/cryptoki/index.ts";
import { Pcscd, PcscError } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { FakeDaemon } from "../pcsc/pcscd-fake.ts";
import { cryptoki as command } from "../cli/program.ts";
import { refusal } from "./rig.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(() => daemon[Symbol.asyncDispose]());

test("C_Initialize names the refusal of a service that does not let this user in, and works once it does", async () => {
  daemon.on.version = ({ socket }) => socket.destroy();
  await using pcsc = new Pcscd({ socket: daemon.socket });
  await using cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
  const error: unknown = await cryptoki.C_Initialize().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject(refusal("DEVICE_ERROR"));
  expect(error).toMatchObject({
    message: expect.stringMatching(/SCARD_W_SECURITY_VIOLATION.*polkit rules refuse this user/u),
  });
  delete daemon.on.version;
  await cryptoki.C_Initialize();
  expect(await cryptoki.C_GetSlotList(false)).toHaveLength(1);
});

test("a service that is not there is no refusal: C_Initialize waits for it", async () => {
  await daemon.stop();
  await using pcsc = new Pcscd({ socket: daemon.socket });
  await using cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
  await cryptoki.C_Initialize();
  expect(await cryptoki.C_GetSlotList(false)).toEqual([]);
});

test("a refusal of the card alone is told by C_GetTokenInfo, and is no card that was taken out", async () => {
  daemon.on.establish = ({ socket }) => socket.end();
  await using pcsc = new Pcscd({ socket: daemon.socket });
  await using cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
  await cryptoki.C_Initialize();
  const [slot = -1] = await cryptoki.C_GetSlotList(true);
  const error: unknown = await cryptoki.C_GetTokenInfo(slot).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject(refusal("DEVICE_ERROR"));
  expect((error as Error).cause).toMatchObject({ cause: expect.any(PcscError) });
  expect((error as Error).message).toContain("polkit rules refuse this user");
});

test.each(["readers", "tokens"])("`cryptoki %s` names the refusal", async (name) => {
  daemon.on.version = ({ socket }) => socket.destroy();
  const { code, stdout, stderr } = await command([name], { env: { PCSCLITE_CSOCK_NAME: daemon.socket } });
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/SCARD_W_SECURITY_VIOLATION: .*polkit rules refuse this user/u);
});

test("`cryptoki readers` shows a reader whose driver has lost its device", async () => {
  daemon.readers = [{ name: "Lost Reader 00 00", state: 0x01 }, { name: "Empty Reader 01 00" }];
  const env = { PCSCLITE_CSOCK_NAME: daemon.socket };
  const { stdout } = await command(["readers"], { env });
  expect(stdout).toMatch(/^Lost Reader 00 00 +reader unavailable/mu);
  expect(stdout).toMatch(/^Empty Reader 01 00 +none/mu);
  const document = JSON.parse((await command(["readers", "--json"], { env })).stdout) as object[];
  expect(document).toEqual([
    expect.objectContaining({ name: "Lost Reader 00 00", unavailable: true, present: false }),
    expect.not.objectContaining({ unavailable: expect.anything() }),
  ]);
});
