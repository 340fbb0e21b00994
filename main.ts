console.log("pleiades");
