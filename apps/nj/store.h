/* The parts of `nj store`: one function for each of its words. `arguments` are what follows the
 * word; they return the exit status. */
#ifndef NJ_APPS_NJ_STORE_H
#define NJ_APPS_NJ_STORE_H

int nj_store_dump_run(const char *path);
int nj_store_import_run(const char *path, const char *name);

#endif
