/** The first descriptor that systemd passes. */
const SD_LISTEN_FDS_START = 3;

/** The descriptor of the socket for which systemd started this process; undefined without one. */
export function inheritedSocket(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const forThis = env["LISTEN_PID"] === String(process.pid);
  return forThis && Number(env["LISTEN_FDS"]) >= 1 ? SD_LISTEN_FDS_START : undefined;
}
