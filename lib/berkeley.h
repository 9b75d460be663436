/* What Berkeley DB is told for the whole process, before a first environment or file of it is opened. */
#ifndef LIB_BERKELEY_H
#define LIB_BERKELEY_H

void berkeley_begin(void);

#endif
