import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { CKF, Cryptoki, CRYPTOKI_VERSIONS, type CryptokiOptions } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { refusal } from "./rig.ts";

const cryptoki = (options: Partial<CryptokiOptions> = {}): Cryptoki =>
  new Cryptoki({ pcsc: new MemoryReaders().client(), profiles: [], ...options });

describe("the interfaces", () => {
  test.each([
    [undefined, ["3.1", "3.0", "2.40"]],
    [{ major: 3, minor: 0 }, ["3.0", "2.40"]],
    [{ major: 2, minor: 40 }, ["2.40"]],
    [{ major: 2, minor: 30 }, ["2.30"]],
    [{ major: 2, minor: 11 }, ["2.11"]],
    [{ major: 2, minor: 1 }, ["2.1"]],
    [{ major: 1, minor: 0 }, ["1.0"]],
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
      expect([name, typeof Reflect.get(made, name)]).toEqual([name, "function"]);
    }
    expect(functions(0)).toEqual(expect.arrayContaining(["C_Initialize", "C_LoginUser", "C_GetInterface"]));
    expect(functions(0)).not.toContain("C_UnlockPIN");
    expect(functions(2)).toContain("C_Sign");
    expect(functions(2)).not.toContain("C_LoginUser");
    expect(functions(3)).toContain("C_UnlockPIN");
    expect(functions(3)).not.toContain("C_Sign");
  });

  test("are found by name and version, the newest by default", async () => {
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

  test.each([
    { major: 4, minor: 2 },
    { major: 2, minor: 4 },
    { major: 2, minor: 12 },
    { major: 3, minor: 10 },
  ])("of version %j, which do not exist, are refused", (version) => {
    expect(() => cryptoki({ version })).toThrow(
      expect.objectContaining({
        ...refusal("ARGUMENTS_BAD"),
        message: expect.stringMatching(/the version is one of 1\.0, 2\.01, 2\.10, 2\.11, .*, 3\.1; its minor number/u),
      }),
    );
  });
});

describe("C_GetInfo", () => {
  const { version: packageVersion } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ) as { readonly version: string };
  const [major, minor] = packageVersion.split(".").map(Number);

  test.each(Object.entries(CRYPTOKI_VERSIONS))("tells version %s of the standard", async (name, version) => {
    await using made = cryptoki({ version });
    await made.C_Initialize();
    const info = await made.C_GetInfo();
    expect(info.cryptokiVersion).toEqual(version);
    // The overview of Net iD: hundredths below version 3.
    expect(name).toBe(
      `${version.major}.${version.major === 2 ? String(version.minor).padStart(2, "0") : version.minor}`,
    );
    // The package's own, except where applications look for tokens with several PINs.
    expect(info.libraryVersion).toEqual(name === "2.11" ? version : { major, minor });
  });

  test("reports 3.1 by default", async () => {
    await using made = cryptoki();
    await made.C_Initialize();
    expect(await made.C_GetInfo()).toMatchObject({
      cryptokiVersion: { major: 3, minor: 1 },
      libraryVersion: { major, minor },
    });
  });
});

test("no function runs in parallel", async () => {
  await using made = cryptoki();
  await made.C_Initialize();
  await expect(made.C_GetFunctionStatus(1)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
});
