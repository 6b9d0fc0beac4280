import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import path from "node:path";
import { plugIntoVpcd } from "../../../src/virtual/index.ts";
import { testCard } from "../../virtual/keys.ts";
import { type Pcscd, startPcscd } from "../rig/pcscd.ts";
import { requirePrograms } from "../rig/require.ts";
import { SshWorkplace } from "./workplace.ts";

const PIN = "123456";

let daemon: Pcscd;
let plug: AsyncDisposable;
let place: SshWorkplace;
const card = await testCard();

beforeAll(async () => {
  requirePrograms("ssh", "ssh-add", "ssh-keygen", "sshd", "git");
  daemon = await startPcscd({ friendlyName: "Agent" });
  plug = await plugIntoVpcd(card, { port: daemon.port });
  place = new SshWorkplace(daemon.env, PIN);
  await place.startAgent("--remember-pin", "600");
  await place.startSshd();
  await keysAreIn();
  place.file("authorized_keys", await place.succeed("ssh-add", "-L"));
  for (const type of ["rsa", "ecdsa"]) {
    const line =
      place
        .read("authorized_keys")
        .split("\n")
        .find((each) => each.includes(type)) ?? "";
    place.file(`${type}.pub`, `${line}\n`);
  }
  place.file("allowed_signers", `me@example.org ${place.read("rsa.pub")}`);
}, 1_000_000);

afterAll(async () => {
  expect(await place.stopAgent()).toBe(0);
  expect(existsSync(path.join(place.folder, "run", "cryptoki", "agent.sock"))).toBe(false);
  await place[Symbol.asyncDispose]();
  await plug[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
}, 60_000);

/** Resolves when the agent has noticed the card. */
async function keysAreIn(): Promise<void> {
  for (let tries = 0; tries < 500; tries++) if ((await place.run("ssh-add", "-l")).code === 0) return;
  throw new Error(`the agent did not notice the card: ${place.log}`);
}

test("ssh-add lists the keys of the card, and no PIN is asked for", async () => {
  const listed = await place.succeed("ssh-add", "-l");
  expect(listed).toMatch(/^2048 SHA256:\S{43} PIV AUTH key \(PIV .*\) \(RSA\)$/mu);
  expect(listed).toMatch(/^256 SHA256:\S{43} SIGN key \(PIV .*\) \(ECDSA\)$/mu);
  expect(place.asked()).toBe(0);
});

test("ssh-keygen signs with the agent, and verifies", async () => {
  place.file("letter", "a letter\n");
  await place.succeed("ssh-keygen", "-Y", "sign", "-n", "file", "-f", place.file("rsa.pub"), place.file("letter"));
  const { code, stdout } = await place.shell(
    "ssh-keygen -Y verify -f allowed_signers -I me@example.org -n file -s letter.sig < letter",
  );
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^Good "file" signature for me@example.org with RSA key/u)]);
  expect(place.asked()).toBe(1);
});

test("ssh logs in with each kind of key, and the agent is forwarded", async () => {
  for (const type of ["rsa", "ecdsa"]) {
    const only = ["-F", place.file("ssh_config"), "-o", "IdentitiesOnly=yes", "-i", place.file(`${type}.pub`)];
    expect(await place.succeed("ssh", ...only, "host", "echo", "logged", "in")).toBe("logged in\n");
  }
  const there = await place.succeed("ssh", "-F", place.file("ssh_config"), "-A", "host", "ssh-add", "-l");
  expect(there).toBe(await place.succeed("ssh-add", "-l"));
  const again = await place.succeed(
    ...(["ssh", "-F", place.file("ssh_config"), "-A", "host"] as const),
    `ssh -F ${place.file("ssh_config")} -o PubkeyAuthentication=yes host echo through two`,
  );
  expect(again).toBe("through two\n");
});

test("ssh-add -h lets keys log in to one host only, and not beyond it", async () => {
  place.file("known_hosts", `host ${place.read("host_key.pub")}other ${place.read("host_key.pub")}`);
  await place.succeed("ssh-add", "-q", "-H", place.file("known_hosts"), "-h", "host", "-s", "cryptoki");
  expect(await place.succeed("ssh", "-F", place.file("ssh_config"), "host", "echo", "in")).toBe("in\n");
  const { code, stdout } = await place.run("ssh", "-F", place.file("ssh_config"), "-A", "host", "ssh-add", "-l");
  expect([code, stdout]).toEqual([1, "The agent has no identities.\n"]);
  const signed = await place.run(
    "ssh-keygen",
    "-Y",
    "sign",
    "-n",
    "file",
    "-f",
    place.file("rsa.pub"),
    place.file("rsa.pub"),
  );
  expect(signed.stderr).toMatch(/agent refused operation/);
  await place.succeed("ssh-add", "-e", "cryptoki");
  expect(await place.succeed("ssh", "-F", place.file("ssh_config"), "-A", "host", "ssh-add", "-l")).toMatch(/RSA/);
});

test("a locked agent shows no keys", async () => {
  await place.succeed("ssh-add", "-x");
  expect((await place.run("ssh-add", "-l")).stdout).toBe("The agent has no identities.\n");
  await place.succeed("ssh-add", "-X");
  expect(await place.succeed("ssh-add", "-l")).toMatch(/RSA/);
});

test("keys and modules of others are refused", async () => {
  await place.succeed("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place.file("own"));
  expect((await place.run("ssh-add", place.file("own"))).stderr).toMatch(/agent refused operation/);
  expect((await place.run("ssh-add", "-s", "/usr/lib/opensc-pkcs11.so")).stderr).toMatch(/agent refused operation/);
  expect((await place.run("ssh-add", "-d", place.file("rsa.pub"))).code).not.toBe(0);
  expect(await place.succeed("ssh-add", "-l")).toMatch(/RSA/);
});

const GIT_SSH = [
  "git init -q -b main .",
  "git config user.name Me; git config user.email me@example.org",
  "git config gpg.format ssh; git config user.signingkey ../rsa.pub",
  "git config gpg.ssh.allowedSignersFile ../allowed_signers",
  "git config commit.gpgsign true",
];
const COMMITS =
  'for i in $(seq 42); do echo $i > file$i; git add file$i; git commit -qm "commit $i" --no-gpg-sign; done';

test("git signs a rebase of 42 commits with one PIN; a card that is out is a clear error, and back again it goes on", async () => {
  place.asked();
  await place.succeed("ssh-add", "-D");
  await place.succeed("mkdir", "repository");
  const repository = place.file("repository");
  const made = await place.shell(
    [...GIT_SSH, "git commit -q --allow-empty -m first --no-gpg-sign", COMMITS].join("\n"),
    repository,
  );
  expect([made.code, made.stderr]).toEqual([0, ""]);
  const rebased = await place.shell(
    "git rebase -q --force-rebase --root; git log --format=%G? | sort | uniq -c",
    repository,
  );
  expect([rebased.code, rebased.stdout.trim()]).toEqual([0, "43 G"]);
  expect(place.asked()).toBe(1);
  expect((await place.shell("git verify-commit HEAD~20", repository)).stderr).toMatch(
    /Good "git" signature for me@example.org/,
  );

  // The card is taken out before the 21st commit.
  const stop = `GIT_SEQUENCE_EDITOR='sed -i 20s/^pick/break\\\\npick/' git rebase -q -i --force-rebase --root`;
  expect((await place.shell(stop, repository)).code).toBe(0);
  await plug[Symbol.asyncDispose]();
  for (let tries = 0; tries < 500; tries++) if ((await place.run("ssh-add", "-l")).code === 1) break;
  const failed = await place.shell("git rebase --continue", repository);
  expect(failed.code).not.toBe(0);
  expect(failed.stderr).toMatch(
    /no private key found for public key|agent refused operation|not found in agent|No private key/iu,
  );
  plug = await plugIntoVpcd(card, { port: daemon.port });
  await keysAreIn();
  // git has kept the change, and then finds that there is nothing left to pick.
  const finish = "GIT_EDITOR=true git rebase --continue || git rebase --skip; git log --format=%G? | sort | uniq -c";
  const done = await place.shell(finish, repository);
  expect([done.code, done.stdout.trim().split("\n").at(-1)?.trim()]).toEqual([0, "43 G"]);
}, 180_000);

test("two agents sign with one card at the same time; each asks for the PIN once, and the end of one leaves the other its keys", async () => {
  const first = place.env["SSH_AUTH_SOCK"] ?? "";
  await place.succeed("ssh-add", "-D");
  place.asked();
  await place.startAgent("--socket", place.file("second.sock"));
  await keysAreIn();
  const signWith = async (agent: string): Promise<void> => {
    const sign = `SSH_AUTH_SOCK=${agent} ssh-keygen -q -Y sign -n file -f rsa.pub < letter > ${path.basename(agent)}.sig`;
    const verify = `ssh-keygen -Y verify -f allowed_signers -I me@example.org -n file -s ${path.basename(agent)}.sig < letter`;
    const { code, stderr } = await place.shell(`${sign}\n${verify}`);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("refused")]);
  };
  const both = [first, place.file("second.sock")];
  for (let round = 0; round < 3; round++) await Promise.all(both.map(signWith));
  expect(place.asked()).toBe(2);
  expect(await place.stopAgent()).toBe(0);
  await signWith(first);
}, 60_000);
