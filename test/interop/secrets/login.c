/*
 * A program in C that logs in and out again and again through a PKCS #11 module.
 * Arguments: module, right PIN, wrong PIN, rounds, and the rounds before which the wrong PIN is tried.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long CK_ULONG;

/* CK_FUNCTION_LIST of PKCS #11 2.40 section 3.6: a version of two bytes, then the functions in the order of the standard. */
struct functions {
  unsigned char major, minor;
  void *function[68];
};
enum { C_INITIALIZE = 0, C_GETSLOTLIST = 4, C_OPENSESSION = 12, C_LOGIN = 18, C_LOGOUT = 19 };
enum { CKR_OK = 0, CKR_PIN_INCORRECT = 0xa0, CKF_SERIAL_SESSION = 4, CKU_USER = 1 };

static void expect(const char *what, CK_ULONG rv, CK_ULONG wanted) {
  if (rv == wanted) return;
  fprintf(stderr, "%s: %lx in place of %lx\n", what, rv, wanted);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  void *module = dlopen(argv[1], RTLD_NOW);
  if (!module) return fprintf(stderr, "%s\n", dlerror()), 1;
  CK_ULONG (*list)(struct functions **) = dlsym(module, "C_GetFunctionList");
  struct functions *p11;
  expect("C_GetFunctionList", list(&p11), CKR_OK);
  CK_ULONG (*initialize)(void *) = p11->function[C_INITIALIZE];
  CK_ULONG (*slots)(unsigned char, CK_ULONG *, CK_ULONG *) = p11->function[C_GETSLOTLIST];
  CK_ULONG (*open)(CK_ULONG, CK_ULONG, void *, void *, CK_ULONG *) = p11->function[C_OPENSESSION];
  CK_ULONG (*login)(CK_ULONG, CK_ULONG, char *, CK_ULONG) = p11->function[C_LOGIN];
  CK_ULONG (*logout)(CK_ULONG) = p11->function[C_LOGOUT];
  CK_ULONG slot[16], count = 16, session;
  expect("C_Initialize", initialize(NULL), CKR_OK);
  expect("C_GetSlotList", slots(1, slot, &count), CKR_OK);
  expect("C_OpenSession", open(slot[0], CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
  for (int round = 0; round < atoi(argv[4]); round++) {
    for (int at = 5; at < argc; at++)
      if (atoi(argv[at]) == round)
        expect("C_Login", login(session, CKU_USER, argv[3], strlen(argv[3])), CKR_PIN_INCORRECT);
    expect("C_Login", login(session, CKU_USER, argv[2], strlen(argv[2])), CKR_OK);
    expect("C_Logout", logout(session), CKR_OK);
  }
  /* The connection stays open until the server's memory was searched. */
  puts("done");
  fflush(stdout);
  getchar();
  return 0;
}
