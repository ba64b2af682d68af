module github.com/bastide-cloud/bastide

go 1.26
