# Prints every include that points up, from a folder to one above it, and every circle of headers.
BEGIN {
	n = split("lib filters vault deliver queue conf smtpd", order, " ")
	for (i = 1; i <= n; i++)
		rank[order[i]] = i
	rank["smtpctl"] = rank["smtpd"]
}

/^#include "/ {
	split($2, quoted, "\"")
	to = quoted[2]
	from = FILENAME
	split(from, a, "/")
	split(to, b, "/")
	if (!(b[1] in rank))
		next # written while it is built, or beside
	if (rank[b[1]] > rank[a[1]] || (rank[b[1]] == rank[a[1]] && a[1] != b[1]))
		print from ":" FNR " includes " to ", which is not below it"
	if (from ~ /\.h$/)
		includes[from] = includes[from] " " to
}

# Depth first; STATE 1: on the way that PATH tells, 2: done.
function visit(file, path,    list, i, n) {
	if (state[file] == 2)
		return
	if (state[file] == 1) {
		print "a circle:" path " " file
		return
	}
	state[file] = 1
	n = split(includes[file], list, " ")
	for (i = 1; i <= n; i++)
		visit(list[i], path " " file)
	state[file] = 2
}

END {
	for (file in includes)
		visit(file, "")
}
