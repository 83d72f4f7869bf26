module github.com/pgseal/pgseal/bench

go 1.26.0

replace github.com/pgseal/pgseal => ../
