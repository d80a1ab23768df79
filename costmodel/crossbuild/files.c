/* The mode `files`: what the device says of itself, /proc and /sys above all. */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES 65536 /* of a file's text; the rest is left out */

/* Bytes above ASCII go through as they are: whoever reads the line decodes them. */
static void print_string(const char *bytes, size_t count) {
  putchar('"');
  for (size_t i = 0; i < count; ++i) {
    unsigned char c = (unsigned char)bytes[i];
    if (c == '"' || c == '\\') printf("\\%c", c);
    else if (c < 0x20 || c == 0x7f) printf("\\u%04x", c);
    else putchar(c);
  }
  putchar('"');
}

/* The number of bytes read, -1 where there is nothing to read: a folder, a pipe, no permission. */
static long read_text(const char *path, char *text) {
  int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return -1;
  struct stat facts;
  long length = fstat(file, &facts) || !S_ISREG(facts.st_mode) ? -1 : 0;
  while (length >= 0 && length < MAX_FILE_BYTES) {
    ssize_t got = read(file, text + length, MAX_FILE_BYTES - length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got < 0) length = -1;
      break;
    }
    length += got;
  }
  close(file);
  return length;
}

void print_files(char **patterns, int count) {
  static char text[MAX_FILE_BYTES];
  for (int i = 0; i < count; ++i) {
    glob_t found;
    if (glob(patterns[i], 0, NULL, &found)) continue;
    for (size_t k = 0; k < found.gl_pathc; ++k) {
      long length = read_text(found.gl_pathv[k], text);
      if (length < 0) continue;
      fputs("{\"path\":", stdout);
      print_string(found.gl_pathv[k], strlen(found.gl_pathv[k]));
      fputs(",\"text\":", stdout);
      print_string(text, (size_t)length);
      puts("}");
    }
    globfree(&found);
  }
  if (fflush(stdout) || ferror(stdout)) fail(1, "cannot write the files: %s", strerror(errno));
}
