# Reads what `nm -A` says of the objects of the programs, and prints every circle of files that call each other: "a calls b
# for NAME".  A call by way of a pointer is none, which is how a file is told of what happens above it.
{
	file = $1
	sub(/:.*/, "", file)
	type = $(NF - 1)
	if (type == "U")
		uses[++n] = file " " $NF
	else if (type ~ /^[TDBRVWC]$/)
		home[$NF] = file
}

# Depth first; STATE 1: on the way that is walked, 2: done.
function visit(file, depth,    list, i, k, m) {
	state[file] = 1
	way[depth] = file
	m = split(calls[file], list, " ")
	for (i = 1; i <= m; i++) {
		if (state[list[i]] == 1) {
			way[depth + 1] = list[i]
			print "a circle:"
			for (k = depth; way[k] != list[i]; k--)
				;
			for (; k <= depth; k++)
				print "\t" way[k] " calls " way[k + 1] " for " name[way[k], way[k + 1]]
		} else if (state[list[i]] == 0)
			visit(list[i], depth + 1)
	}
	state[file] = 2
}

END {
	for (i = 1; i <= n; i++) {
		split(uses[i], use, " ")
		to = home[use[2]]
		if (to == "" || to == use[1] || (use[1], to) in name)
			continue
		name[use[1], to] = use[2]
		calls[use[1]] = calls[use[1]] " " to
	}
	for (file in calls)
		if (state[file] == 0)
			visit(file, 1)
}
