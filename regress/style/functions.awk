# LINES FILE:LINE for each function: in this tree its braces stand alone, at the beginning of a line.  A table inside it is
# as long as what it lists, and is not counted.
FNR == 1 { begin = 0 }
/^\{$/ { begin = FNR; rows = 0; table = 0 }
begin && /^\t.*\[[^]]*\] = \{$/ { table = FNR }
begin && table && /^\t\};$/ { rows += FNR - table; table = 0 }
begin && /^\}$/ { print FNR - begin + 1 - rows, FILENAME ":" begin; begin = 0 }
