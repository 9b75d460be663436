/* The version of this Genkan, for `smtpctl version` and the banner of programs. */
#ifndef LIB_VERSION_H
#define LIB_VERSION_H

#define GENKAN_VERSION "0.1"

#endif
