import { describe, expect, test } from "@jest/globals";
import { CKF, Cryptoki, type CryptokiOptions } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { refusal } from "./rig.ts";

const cryptoki = (options: Partial<CryptokiOptions> = {}): Cryptoki =>
  new Cryptoki({ pcsc: new MemoryReaders().client(), profiles: [], ...options });

describe("the interfaces", () => {
  test.each([
    [undefined, ["3.1", "3.0", "2.40"]],
    [{ major: 3, minor: 0 }, ["3.0", "2.40"]],
    [{ major: 2, minor: 40 }, ["2.40"]],
    [{ major: 2, minor: 11 }, ["2.11"]],
  ])("of version %j are the versions that it stands for, and the extensions", async (version, expected) => {
    const list = await cryptoki(version ? { version } : {}).C_GetInterfaceList();
    const told = list.map(({ pInterfaceName, pFunctionList: { version: of } }) => [
      pInterfaceName,
      `${of.major}.${of.minor}`,
    ]);
    expect(told).toEqual([...expected.map((of) => ["PKCS 11", of]), ["Vendor cryptoki", "1.0"]]);
  });

  test("name methods that there are, all of them, each where it belongs", async () => {
    const made = cryptoki();
    const list = await made.C_GetInterfaceList();
    const functions = (of: number): readonly string[] => list[of]?.pFunctionList.functions ?? [];
    for (const name of list.flatMap(({ pFunctionList }) => pFunctionList.functions)) {
      expect([name, typeof made[name]]).toEqual([name, "function"]);
    }
    expect(functions(0)).toEqual(expect.arrayContaining(["C_Initialize", "C_LoginUser", "C_GetInterface"]));
    expect(functions(0)).not.toContain("C_UnlockPIN");
    expect(functions(2)).toContain("C_Sign");
    expect(functions(2)).not.toContain("C_LoginUser");
    expect(functions(3)).toContain("C_UnlockPIN");
    expect(functions(3)).not.toContain("C_Sign");
  });

  test("are found by name and version, the newest unless told", async () => {
    const made = cryptoki();
    const version = async (...wanted: Parameters<Cryptoki["C_GetInterface"]>): Promise<unknown> =>
      (await made.C_GetInterface(...wanted)).pFunctionList.version;
    expect(await version(null, null, 0)).toEqual({ major: 3, minor: 1 });
    expect(await version("PKCS 11", { major: 2, minor: 40 }, 0)).toEqual({ major: 2, minor: 40 });
    expect((await made.C_GetInterface("Vendor cryptoki", null, 0)).pFunctionList.functions).toContain("C_UnlockPIN");
    for (const [name, wanted, flags] of [
      ["PKCS 12", null, 0],
      [null, { major: 2, minor: 11 }, 0],
      [null, null, CKF.INTERFACE_FORK_SAFE],
    ] as const) {
      await expect(made.C_GetInterface(name, wanted, flags)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    }
  });

  test("C_GetFunctionList has those of version 2", async () => {
    const { version, functions } = await cryptoki().C_GetFunctionList();
    expect(version).toEqual({ major: 2, minor: 40 });
    expect(functions).toContain("C_GetFunctionStatus");
    expect(functions).not.toContain("C_GetInterface");
  });

  test("of a version that nobody wrote are none", () => {
    expect(() => cryptoki({ version: { major: 4, minor: 2 } })).toThrow(
      expect.objectContaining(refusal("ARGUMENTS_BAD")),
    );
  });
});

test("no function runs in parallel", async () => {
  await using made = cryptoki();
  await made.C_Initialize();
  await expect(made.C_GetFunctionStatus(1)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
});
