/*
 * Times calls to a PKCS#11 module: with p11-kit-client.so, calls over p11-kit's protocol to the server in
 * $P11_KIT_SERVER_ADDRESS. The first token's user logs in with $BENCH_PIN.
 *
 *   rpc MODULE ROUNDS               the first P-256 private key that needs no PIN of its own signs
 *   rpc MODULE ROUNDS generate      a key pair of the session, generated first, signs
 *
 * Prints two numbers: microseconds for C_GetSessionInfo, and for C_SignInit with C_Sign (CKM_ECDSA), each the median.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <vector>

/* As much of PKCS#11 as is needed, for machines without its header; section numbers are of PKCS#11 3.1. */
typedef unsigned long Ulong;
struct Attribute { Ulong type; void *value; Ulong length; };          /* CK_ATTRIBUTE, 3.4 */
struct Mechanism { Ulong mechanism; void *parameter; Ulong length; }; /* CK_MECHANISM, 3.6 */

enum : Ulong {
  CKF_RW_SESSION = 2, CKF_SERIAL_SESSION = 4, CKU_USER = 1, CKO_PRIVATE_KEY = 3, CKK_EC = 3,
  CKA_CLASS = 0, CKA_KEY_TYPE = 0x100, CKA_SIGN = 0x108, CKA_VERIFY = 0x10a, CKA_EC_PARAMS = 0x180,
  CKA_ALWAYS_AUTHENTICATE = 0x202, CKM_EC_KEY_PAIR_GEN = 0x1040, CKM_ECDSA = 0x1041,
};

/** The places of functions in CK_FUNCTION_LIST, which begins with a version: p11-kit-client.so exports no other way (2.40, 3.6). */
enum Place { INITIALIZE = 1, GET_SLOT_LIST = 5, OPEN_SESSION = 13, GET_SESSION_INFO = 16, LOGIN = 19,
  GET_ATTRIBUTE_VALUE = 25, FIND_INIT = 27, FIND = 28, FIND_FINAL = 29, SIGN_INIT = 43, SIGN = 44, GENERATE_KEY_PAIR = 60 };

static void **functions;

template <typename... Parameters> static void call(Place place, Parameters... parameters) {
  Ulong rv = reinterpret_cast<Ulong (*)(Parameters...)>(functions[place])(parameters...);
  if (rv != 0) { std::printf("refused: function %d, 0x%lx\n", place, rv); std::exit(1); }
}

static double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

/** The median of what `work` takes, in microseconds, after a tenth of the rounds to warm up. */
template <typename Work> static double median(int rounds, Work work) {
  std::vector<double> times;
  for (int round = -rounds / 10; round < rounds; round++) {
    double start = now();
    work();
    if (round >= 0) times.push_back(now() - start);
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

/** The first P-256 key of the token that does not want its PIN before each use. */
static Ulong findKey(Ulong session) {
  Ulong wantedClass = CKO_PRIVATE_KEY, wantedType = CKK_EC, keys[64], count = 0;
  Attribute wanted[] = {{CKA_CLASS, &wantedClass, sizeof wantedClass}, {CKA_KEY_TYPE, &wantedType, sizeof wantedType}};
  call(FIND_INIT, session, static_cast<Attribute *>(wanted), 2UL);
  call(FIND, session, static_cast<Ulong *>(keys), 64UL, &count);
  call(FIND_FINAL, session);
  for (Ulong index = 0; index < count; index++) {
    unsigned char always = 0;
    Attribute asked = {CKA_ALWAYS_AUTHENTICATE, &always, sizeof always};
    call(GET_ATTRIBUTE_VALUE, session, keys[index], &asked, 1UL);
    if (!always) return keys[index];
  }
  std::printf("refused: no key\n");
  std::exit(1);
}

static Ulong generateKey(Ulong session) {
  unsigned char p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, yes = 1;
  Mechanism mechanism = {CKM_EC_KEY_PAIR_GEN, nullptr, 0};
  Attribute open[] = {{CKA_EC_PARAMS, p256, sizeof p256}, {CKA_VERIFY, &yes, 1}}, own[] = {{CKA_SIGN, &yes, 1}};
  Ulong publicKey, privateKey;
  call(GENERATE_KEY_PAIR, session, &mechanism, static_cast<Attribute *>(open), 2UL, static_cast<Attribute *>(own), 1UL, &publicKey, &privateKey);
  return privateKey;
}

int main(int argc, char **argv) {
  void *module = argc > 2 ? dlopen(argv[1], RTLD_NOW) : nullptr;
  auto list = module ? reinterpret_cast<Ulong (*)(void ***)>(dlsym(module, "C_GetFunctionList")) : nullptr;
  if (!list || list(&functions) != 0) { std::printf("refused: no module\n"); return 1; }
  int rounds = std::atoi(argv[2]);
  Ulong slots[64], count = 64, session;
  call(INITIALIZE, static_cast<void *>(nullptr));
  call(GET_SLOT_LIST, static_cast<unsigned char>(1), static_cast<Ulong *>(slots), &count);
  call(OPEN_SESSION, slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, static_cast<void *>(nullptr), static_cast<void *>(nullptr), &session);
  const char *pin = std::getenv("BENCH_PIN");
  call(LOGIN, session, CKU_USER, pin, static_cast<Ulong>(std::strlen(pin)));
  Ulong key = argc > 3 ? generateKey(session) : findKey(session);
  Ulong info[4];
  double trivial = median(rounds, [&] { call(GET_SESSION_INFO, session, static_cast<Ulong *>(info)); });
  Mechanism mechanism = {CKM_ECDSA, nullptr, 0};
  unsigned char hash[32] = {1}, signature[64];
  double signing = median(rounds, [&] {
    Ulong length = sizeof signature;
    call(SIGN_INIT, session, &mechanism, key);
    call(SIGN, session, static_cast<unsigned char *>(hash), static_cast<Ulong>(sizeof hash), static_cast<unsigned char *>(signature), &length);
  });
  std::printf("%.2f %.2f\n", trivial, signing);
}
